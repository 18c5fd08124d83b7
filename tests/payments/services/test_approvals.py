"""Approvals by tier: how many of whom a list needs, how long what they said counts, and who cannot say it."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from govpay.errors import SamePersonTwice
from ledger import books, chart
from payments.models import Approval, Disbursement, Payment, Program, Step
from payments.payout import agreed
from payments.selectors import funds
from payments.services import approvals, disbursements
from payments.states import DisbursementStatus, StatusConflict
from tests import factories
from tests.racing import race

pytestmark = pytest.mark.django_db

TIERS = [
    {"up_to_sat": 100_000, "needs": {"approvers": 1}},
    {"up_to_sat": None, "needs": {"approvers": 2, "directors": 1}},
]


@pytest.fixture
def second(program: Program) -> User:
    return factories.make_member(program, "approver", "second-approver")


@pytest.fixture
def director(program: Program) -> User:
    return factories.make_member(program, "approver", "director")


@pytest.fixture
def large(program: Program, officer: User, director: User) -> Disbursement:
    """A submitted list of 180,000 sat, which needs two approvers and a director."""
    factories.fund(program, 1_000_000)
    factories.make_policy(program, groups={"directors": [director.username]}, tiers=TIERS)
    return disbursements.submit(by=officer, disbursement_id=factories.make_disbursement(program, officer).pk)


def hash_of(disbursement: Disbursement) -> bytes:
    """What somebody who looked at the list agrees to."""
    return bytes(disbursement.manifest_hash or b"")


def approve(disbursement: Disbursement, by: User, **more: object) -> Disbursement:
    """Agree to the list as it was submitted."""
    return disbursements.approve(
        by=by,
        disbursement_id=disbursement.pk,
        manifest_hash=hash_of(disbursement),
        **more,  # type: ignore[arg-type]
    )


def release(disbursement: Disbursement, by: User, **more: object) -> Disbursement:
    """Let the engine pay the list as it was submitted."""
    return disbursements.release(
        by=by,
        disbursement_id=disbursement.pk,
        manifest_hash=hash_of(disbursement),
        **more,  # type: ignore[arg-type]
    )


def said(disbursement: Disbursement) -> list[tuple[str, str, str]]:
    """Step, person and group of each approval, oldest first."""
    rows = Approval.objects.filter(disbursement=disbursement).order_by("pk")
    return list(rows.values_list("step", "user__username", "group_name"))


class TestTiers:
    def test_are_one_approver_where_nobody_made_rules(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        factories.fund(program, 1_000_000)
        made = factories.make_disbursement(program, officer)
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        assert made.approval_tier == {
            "policy": None,
            "up_to_sat": None,
            "needs": {"approvers": 1},
            "days": 14,
        }
        assert approve(made, approver).status == DisbursementStatus.APPROVED
        assert release(made, releaser).status == DisbursementStatus.RELEASED
        assert said(made) == [
            ("submit", "officer-pensions", ""),
            ("approve", "approver-pensions", "approvers"),
            ("release", "releaser-pensions", ""),
        ]

    def test_are_chosen_by_the_total_of_the_list(
        self, program: Program, officer: User, director: User
    ) -> None:
        policy = factories.make_policy(program, groups={"directors": ["director"]}, tiers=TIERS)
        found = []
        for number, total_sat in enumerate((99_999, 100_000, 100_001)):
            made = factories.make_disbursement(
                program, officer, amounts_sat=[total_sat], period=f"2026-0{number}"
            )
            made = disbursements.submit(by=officer, disbursement_id=made.pk)
            found.append(made.approval_tier)
        small = {"policy": policy.pk, "days": 14, **TIERS[0]}
        assert found == [small, small, {"policy": policy.pk, "days": 14, **TIERS[1]}]

    def test_are_met_by_the_last_approver_who_reserves_and_encumbers(
        self, large: Disbursement, program: Program, approver: User, second: User, director: User
    ) -> None:
        for person in (approver, director):
            assert approve(large, person).status == DisbursementStatus.SUBMITTED
            assert funds.of_program(program.pk).reserved_sat == 0
        found = approve(large, second)
        assert (found.status, found.approved_by) == (DisbursementStatus.APPROVED, second)
        assert funds.of_program(program.pk).reserved_sat == 180_000 + (found.fee_reserved_sat or 0)
        transfers = chart.program_accounts(program.pk).transfers
        assert books.balance(transfers, layer="encumbered") == 180_000
        assert said(large)[1:] == [
            ("approve", "approver-pensions", "approvers"),
            ("approve", "director", "directors"),
            ("approve", "second-approver", "approvers"),
        ]

    def test_are_frozen_when_the_list_is_submitted(
        self, large: Disbursement, program: Program, approver: User
    ) -> None:
        factories.make_policy(program)
        assert approve(large, approver).status == DisbursementStatus.SUBMITTED
        large.refresh_from_db()
        assert large.approval_tier["needs"] == {"approvers": 2, "directors": 1}

    def test_count_a_person_once(self, large: Disbursement, approver: User, director: User) -> None:
        approve(large, approver)
        with pytest.raises(approvals.AlreadyApproved):
            approve(large, approver)
        # A director is an approver too, and speaks for one group only.
        approve(large, director)
        with pytest.raises(approvals.AlreadyApproved):
            approve(large, director, group="approvers")
        assert len(said(large)) == 3

    def test_ask_for_nobody_of_a_group_that_is_complete(
        self, large: Disbursement, program: Program, approver: User, second: User
    ) -> None:
        approve(large, approver)
        approve(large, second)
        third = factories.make_member(program, "approver", "third")
        with pytest.raises(approvals.GroupComplete) as refusal:
            approve(large, third)
        assert refusal.value.details == {"missing": {"directors": 1}}
        assert len(said(large)) == 3

    def test_refuse_who_is_in_none_of_their_groups(
        self, program: Program, officer: User, approver: User, director: User
    ) -> None:
        factories.make_policy(
            program,
            groups={"directors": ["director"]},
            tiers=[{"up_to_sat": None, "needs": {"directors": 1}}],
        )
        made = factories.make_disbursement(program, officer)
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        for group in ("", "directors", "nobody"):
            with pytest.raises(approvals.GroupMissing) as refusal:
                approve(made, approver, group=group)
            assert refusal.value.details == {"groups": ["directors"]}
        assert len(said(made)) == 1


class TestPeople:
    def test_who_approved_in_part_cannot_release(
        self, large: Disbursement, program: Program, approver: User, second: User, director: User
    ) -> None:
        for person in (approver, second, director):
            approve(large, person)
        # The last of them is the list's approver by its own column; the first is none there.
        factories.change_role(program, approver, "releaser")
        with pytest.raises(SamePersonTwice):
            release(large, approver)
        large.refresh_from_db()
        assert large.status == DisbursementStatus.APPROVED

    def test_who_made_a_list_counts_for_nothing_in_the_database_either(
        self, large: Disbursement, officer: User
    ) -> None:
        with pytest.raises(IntegrityError, match="approval_by_another"), transaction.atomic():
            agreed.record(
                large,
                Step.APPROVE,
                officer.pk,
                at=timezone.now(),
                group="directors",
                expires_at=timezone.now() + timedelta(days=1),
            )
        assert len(said(large)) == 1

    def test_too_few_of_them_are_refused_by_the_database(self, large: Disbursement, approver: User) -> None:
        approve(large, approver)
        with pytest.raises(IntegrityError, match="disbursement_approved_by_enough"), transaction.atomic():
            Disbursement.objects.filter(pk=large.pk).update(status="approved", approved_by=approver)

    def test_an_approver_as_releaser_is_refused_by_the_database(
        self, large: Disbursement, approver: User, second: User, director: User
    ) -> None:
        for person in (approver, second, director):
            approve(large, person)
        with pytest.raises(IntegrityError, match="approval_by_another"), transaction.atomic():
            agreed.record(large, Step.RELEASE, approver.pk, at=timezone.now())
        with pytest.raises(IntegrityError, match="disbursement_released_by_another"), transaction.atomic():
            Disbursement.objects.filter(pk=large.pk).update(status="released", released_by=approver)

    def test_what_they_said_is_never_changed(self, large: Disbursement) -> None:
        rows = Approval.objects.filter(disbursement=large)
        for change in (lambda: rows.update(group_name="directors"), rows.delete):
            with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
                change()


class TestExpiry:
    @pytest.fixture
    def approved(self, program: Program, officer: User, approver: User) -> Disbursement:
        factories.fund(program, 1_000_000)
        factories.make_policy(program, approval_days=3)
        made = factories.make_disbursement(program, officer)
        return approve(disbursements.submit(by=officer, disbursement_id=made.pk), approver)

    def test_refuses_the_release(self, approved: Disbursement, releaser: User) -> None:
        assert approved.approved_at is not None
        with pytest.raises(agreed.ApprovalExpired) as refusal:
            release(approved, releaser, now=approved.approved_at + timedelta(days=3))
        assert refusal.value.details == {"missing": {"approvers": 1}}
        approved.refresh_from_db()
        assert (approved.status, approved.released_by) == (DisbursementStatus.APPROVED, None)

    def test_comes_after_the_days_of_the_policy(self, approved: Disbursement, releaser: User) -> None:
        assert approved.approved_at is not None
        last = approved.approved_at + timedelta(days=3, microseconds=-1)
        assert release(approved, releaser, now=last).status == DisbursementStatus.RELEASED

    def test_lets_an_approver_approve_anew_and_reserves_once(
        self, approved: Disbursement, program: Program, approver: User, second: User, releaser: User
    ) -> None:
        assert approved.approved_at is not None
        later = approved.approved_at + timedelta(days=10)
        held = funds.of_program(program.pk)
        assert approve(approved, second, now=later).approved_by == approver
        assert funds.of_program(program.pk) == held
        assert release(approved, releaser, now=later).status == DisbursementStatus.RELEASED

    def test_counts_for_nothing_while_others_are_missing(
        self, large: Disbursement, approver: User, second: User, director: User
    ) -> None:
        now = timezone.now()
        approve(large, approver, now=now)
        approve(large, second, now=now + timedelta(days=14))
        assert approve(large, director, now=now + timedelta(days=15)).status == DisbursementStatus.SUBMITTED
        found = approve(large, approver, now=now + timedelta(days=15, seconds=1))
        assert found.status == DisbursementStatus.APPROVED

    def test_is_needed_before_an_approved_list_is_approved_anew(
        self, approved: Disbursement, second: User
    ) -> None:
        with pytest.raises(StatusConflict):
            approve(approved, second)
        assert len(said(approved)) == 2


class TestChanges:
    def test_void_what_was_said_of_another_manifest(
        self, large: Disbursement, approver: User, second: User, director: User
    ) -> None:
        approve(large, approver)
        Payment.objects.filter(disbursement=large, line=1).update(amount_sat=1_000)
        with pytest.raises(disbursements.ManifestChanged):
            approve(large, second)
        # Even with the new hash in the list's own row nobody has submitted that, let alone approved it.
        changed = disbursements.manifest.compute(Disbursement.objects.get(pk=large.pk))
        Disbursement.objects.filter(pk=large.pk).update(manifest_hash=changed)
        with pytest.raises(agreed.ApprovalForged):
            disbursements.approve(by=second, disbursement_id=large.pk, manifest_hash=changed)
        assert agreed_by(large) == ["approver-pensions"]


def agreed_by(disbursement: Disbursement) -> list[str]:
    """Who approved."""
    return [name for step, name, _ in said(disbursement) if step == "approve"]


@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    def test_last_approvals_reserve_once(
        self, program: Program, officer: User, approver: User, second: User
    ) -> None:
        factories.fund(program, 1_000_000)
        factories.make_policy(program, tiers=[{"up_to_sat": None, "needs": {"approvers": 1}}])
        made = factories.make_disbursement(program, officer)
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        won, racer = race(lambda: approve(made, approver), lambda: approve(made, second))
        assert won.status == DisbursementStatus.APPROVED  # type: ignore[attr-defined]
        assert isinstance(racer.error, StatusConflict)
        assert agreed_by(made) == ["approver-pensions"]
        transfers = chart.program_accounts(program.pk).transfers
        assert books.balance(transfers, layer="encumbered") == 180_000
