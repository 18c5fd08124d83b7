"""A list between its officers: who may do what, when, and what moves in the books and the funds."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from govpay.errors import InvalidInput, NotFound, SamePersonTwice
from ledger import books, chart, events
from ledger.models import Entry
from payments.models import Destination, Disbursement, Payment, Program, StatusChange, Wallet
from payments.selectors import funds
from payments.services import authority, disbursements, encumbrances
from payments.states import DisbursementStatus, StatusConflict
from tests import factories
from tests.racing import Racer

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft(program: Program, officer: User) -> Disbursement:
    factories.fund(program, 1_000_000)
    return factories.make_disbursement(program, officer)


@pytest.fixture
def submitted(draft: Disbursement, officer: User) -> Disbursement:
    return disbursements.submit(by=officer, disbursement_id=draft.pk)


@pytest.fixture
def approved(submitted: Disbursement, approver: User) -> Disbursement:
    return disbursements.approve(by=approver, disbursement_id=submitted.pk, manifest_hash=hash_of(submitted))


def hash_of(disbursement: Disbursement) -> bytes:
    """What an officer who looked at the list agrees to."""
    return bytes(disbursement.manifest_hash or b"")


def status_of(disbursement: Disbursement) -> str:
    """The status in the database, and nothing else."""
    return Disbursement.objects.values_list("status", flat=True).get(pk=disbursement.pk)


class TestSubmit:
    def test_copies_destinations_and_fixes_the_manifest(self, draft: Disbursement, officer: User) -> None:
        found = disbursements.submit(by=officer, disbursement_id=draft.pk)
        assert found.status == DisbursementStatus.SUBMITTED
        assert len(hash_of(found)) == 32
        # At 50 sat/vB: three outputs of 31 vB; twice a group's rest, 20 inputs of 272 WU, four of change, overhead.
        rest_weight = 42 + 20 * 272 + 4 * 31 * 4 + 3 * 4
        assert found.fee_reserved_sat == 50 * -(-(4 * 93 + 2 * rest_weight) // 4) + 2 * 1_000
        for payment in Payment.objects.filter(disbursement=draft):
            current = Destination.objects.get(beneficiary=payment.beneficiary, is_current=True)
            assert bytes(payment.script_pubkey or b"") == bytes(current.script_pubkey)

    def test_refuses_people_without_a_destination_and_moves_nothing(
        self, draft: Disbursement, officer: User
    ) -> None:
        second = Payment.objects.get(disbursement=draft, line=2)
        Destination.objects.filter(beneficiary=second.beneficiary).update(is_current=False)
        with pytest.raises(InvalidInput) as refusal:
            disbursements.submit(by=officer, disbursement_id=draft.pk)
        assert refusal.value.details["errors"] == [
            {
                "row": 2,
                "column": "",
                "code": "destination_missing",
                "message": "This person has no address to be paid at.",
            }
        ]
        assert status_of(draft) == DisbursementStatus.DRAFT
        assert Payment.objects.filter(disbursement=draft, script_pubkey=None).count() == 3

    @pytest.mark.parametrize(
        ("script", "dust_sat"),
        [
            (b"\x00\x14" + b"\x01" * 20, 294),
            (b"\x51\x20" + b"\x01" * 32, 330),
            (b"\xa9\x14" + b"\x01" * 20 + b"\x87", 540),
            (b"\x76\xa9\x14" + b"\x01" * 20 + b"\x88\xac", 546),
        ],
    )
    def test_refuses_dust_for_the_kind_of_address(
        self, script: bytes, dust_sat: int, program: Program, officer: User
    ) -> None:
        for amount_sat, is_dust in ((dust_sat - 1, True), (dust_sat, False)):
            made = factories.make_disbursement(
                program, officer, amounts_sat=[amount_sat], period=f"p{amount_sat}"
            )
            person = Payment.objects.get(disbursement=made).beneficiary
            Destination.objects.filter(script_pubkey=script).update(is_current=False)
            Destination.objects.filter(beneficiary=person).update(script_pubkey=script)
            if is_dust:
                with pytest.raises(InvalidInput, match="nothing was submitted"):
                    disbursements.submit(by=officer, disbursement_id=made.pk)
            else:
                assert disbursements.submit(by=officer, disbursement_id=made.pk).status == "submitted"

    def test_refuses_another_officer_than_the_maker(self, draft: Disbursement, program: Program) -> None:
        colleague = factories.make_member(program, "officer", "colleague")
        with pytest.raises(authority.RoleMissing):
            disbursements.submit(by=colleague, disbursement_id=draft.pk)
        assert status_of(draft) == DisbursementStatus.DRAFT

    def test_hides_the_list_from_outsiders(self, draft: Disbursement, outsider: User) -> None:
        with pytest.raises(NotFound):
            disbursements.submit(by=outsider, disbursement_id=draft.pk)


class TestApprove:
    def test_reserves_amount_and_fee_ceiling_and_encumbers_the_allotment(
        self, submitted: Disbursement, approver: User, program: Program
    ) -> None:
        found = disbursements.approve(
            by=approver, disbursement_id=submitted.pk, manifest_hash=hash_of(submitted)
        )
        assert (found.status, found.approved_by) == (DisbursementStatus.APPROVED, approver)
        held = funds.of_program(program.pk)
        assert held.reserved_sat == 180_000 + (found.fee_reserved_sat or 0)
        assert held.available_sat == 1_000_000 - held.reserved_sat
        accounts = chart.program_accounts(program.pk)
        assert books.balance(accounts.transfers, layer="encumbered") == 180_000
        assert books.balance(accounts.appropriation, layer="encumbered") == -180_000
        assert books.balance(accounts.transfers) == books.balance(accounts.payable) == 0
        held = Entry.objects.get(kind="encumbrance")
        assert (held.actor, held.approver) == ("officer-pensions", "approver-pensions")

    def test_refuses_the_officer_who_made_the_list(
        self, submitted: Disbursement, officer: User, program: Program
    ) -> None:
        factories.change_role(program, officer, "approver")
        with pytest.raises(SamePersonTwice):
            disbursements.approve(by=officer, disbursement_id=submitted.pk, manifest_hash=hash_of(submitted))
        assert status_of(submitted) == DisbursementStatus.SUBMITTED
        assert Entry.objects.filter(kind="encumbrance").count() == 0

    def test_refuses_a_member_without_the_role(self, submitted: Disbursement, auditor: User) -> None:
        with pytest.raises(authority.RoleMissing):
            disbursements.approve(by=auditor, disbursement_id=submitted.pk, manifest_hash=hash_of(submitted))
        assert status_of(submitted) == DisbursementStatus.SUBMITTED

    def test_refuses_another_hash_than_the_lists(self, submitted: Disbursement, approver: User) -> None:
        with pytest.raises(disbursements.ManifestChanged):
            disbursements.approve(by=approver, disbursement_id=submitted.pk, manifest_hash=b"\0" * 32)
        assert status_of(submitted) == DisbursementStatus.SUBMITTED

    @pytest.mark.parametrize(
        "tamper",
        [
            {"amount_sat": 999_999},
            {"script_pubkey": b"\x00\x14" + b"\xee" * 20},
        ],
    )
    def test_refuses_a_list_that_was_changed_behind_its_back(
        self, tamper: dict[str, Any], submitted: Disbursement, approver: User
    ) -> None:
        Payment.objects.filter(disbursement=submitted, line=1).update(**tamper)
        with pytest.raises(disbursements.ManifestChanged):
            disbursements.approve(by=approver, disbursement_id=submitted.pk, manifest_hash=hash_of(submitted))
        assert Entry.objects.filter(kind="encumbrance").count() == 0

    def test_refuses_more_than_the_wallet_can_carry_and_gives_the_figures(
        self, program: Program, officer: User, approver: User
    ) -> None:
        factories.fund(program, 150_000)
        poor = factories.make_disbursement(program, officer, amounts_sat=[149_000])
        poor = disbursements.submit(by=officer, disbursement_id=poor.pk)
        with pytest.raises(disbursements.InsufficientFunds) as refusal:
            disbursements.approve(by=approver, disbursement_id=poor.pk, manifest_hash=hash_of(poor))
        assert refusal.value.details == {
            "needed_sat": 149_000 + (poor.fee_reserved_sat or 0),
            "available_sat": 150_000,
            "booked_sat": 150_000,
            "reserved_sat": 0,
        }
        assert status_of(poor) == DisbursementStatus.SUBMITTED

    def test_happens_once(self, approved: Disbursement, approver: User) -> None:
        with pytest.raises(StatusConflict):
            disbursements.approve(by=approver, disbursement_id=approved.pk, manifest_hash=hash_of(approved))
        assert Entry.objects.filter(kind="encumbrance").count() == 1


@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    def test_cannot_reserve_the_same_coins(self, program: Program, officer: User, approver: User) -> None:
        factories.fund(program, 1_000_000)
        lists = []
        for period in ("2026-11", "2026-12"):
            made = factories.make_disbursement(program, officer, amounts_sat=[500_000], period=period)
            lists.append(disbursements.submit(by=officer, disbursement_id=made.pk))
        outcomes: list[str] = []

        def approve(one: Disbursement) -> None:
            try:
                disbursements.approve(by=approver, disbursement_id=one.pk, manifest_hash=hash_of(one))
                outcomes.append("approved")
            except disbursements.InsufficientFunds:
                outcomes.append("refused")
            finally:
                connection.close()

        threads = [threading.Thread(target=approve, args=[one]) for one in lists]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["approved", "refused"]

    def test_approval_does_not_wait_for_coins_that_a_payout_takes(
        self, program: Program, officer: User, approver: User
    ) -> None:
        factories.fund(program, 1_000_000)
        made = factories.make_disbursement(program, officer)
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        racer = Racer(
            lambda: (
                disbursements.approve(
                    by=approver, disbursement_id=made.pk, manifest_hash=hash_of(made)
                ).status
            )
        )
        with transaction.atomic():
            Wallet.objects.lock().get(program=program)
            racer.start()
            racer.join(60)
            assert (racer.result, racer.error) == (DisbursementStatus.APPROVED, None)

    def test_approval_and_rejection_leave_one_winner(
        self, program: Program, officer: User, approver: User
    ) -> None:
        factories.fund(program, 1_000_000)
        second = factories.make_member(program, "approver", "second-approver")
        made = factories.make_disbursement(program, officer)
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        outcomes: list[str] = []

        def act(verb: Any, **arguments: Any) -> None:
            try:
                verb(disbursement_id=made.pk, **arguments)
                outcomes.append("done")
            except StatusConflict:
                outcomes.append("late")
            finally:
                connection.close()

        threads = [
            threading.Thread(
                target=act,
                args=[disbursements.approve],
                kwargs={"by": approver, "manifest_hash": hash_of(made)},
            ),
            threading.Thread(
                target=act, args=[disbursements.reject], kwargs={"by": second, "note": "wrong month"}
            ),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["done", "late"]
        is_approved = status_of(made) == DisbursementStatus.APPROVED
        assert Entry.objects.filter(kind="encumbrance").count() == int(is_approved)


class TestRelease:
    def test_needs_a_third_person(
        self, approved: Disbursement, approver: User, officer: User, program: Program
    ) -> None:
        for person in (officer, approver):
            factories.change_role(program, person, "releaser")
            with pytest.raises(SamePersonTwice):
                disbursements.release(by=person, disbursement_id=approved.pk, manifest_hash=hash_of(approved))
        assert status_of(approved) == DisbursementStatus.APPROVED

    def test_lets_the_engine_pay(self, approved: Disbursement, releaser: User) -> None:
        found = disbursements.release(
            by=releaser, disbursement_id=approved.pk, manifest_hash=hash_of(approved)
        )
        assert (found.status, found.released_by) == (DisbursementStatus.RELEASED, releaser)
        history = StatusChange.objects.filter(subject="disbursement", subject_id=found.pk).order_by("pk")
        assert list(history.values_list("new", "actor__username")) == [
            ("submitted", "officer-pensions"),
            ("approved", "approver-pensions"),
            ("released", "releaser-pensions"),
        ]

    def test_spends_what_was_encumbered_and_owes_it(
        self, approved: Disbursement, releaser: User, program: Program
    ) -> None:
        disbursements.release(by=releaser, disbursement_id=approved.pk, manifest_hash=hash_of(approved))
        accounts = chart.program_accounts(program.pk)
        assert books.balance(accounts.transfers) == 180_000
        assert books.balance(accounts.payable) == -180_000
        for code in accounts:
            assert books.balance(code, layer="encumbered") == 0
        owed = Entry.objects.get(kind="commitment")
        assert (owed.actor, owed.approver) == ("releaser-pensions", "approver-pensions")
        assert owed.reversal_of == Entry.objects.get(kind="encumbrance")
        assert books.trial_balance().is_balanced
        assert books.trial_balance(layer="encumbered").is_balanced

    def test_owes_once_what_was_owed_at_its_approval(
        self, approved: Disbursement, releaser: User, program: Program
    ) -> None:
        """A list that was approved before there were encumbrances."""
        held = encumbrances.standing(approved)
        assert held is not None
        books.drop(
            held.entry_id, idempotency_key="older", effective_at=timezone.now(), memo="", actor="tester"
        )
        books.post(
            [
                events.commitment(
                    program_id=program.pk,
                    disbursement_id=approved.pk,
                    amount=180_000,
                    effective_at=timezone.now(),
                    actor="officer",
                    approver="approver",
                )
            ]
        )
        disbursements.release(by=releaser, disbursement_id=approved.pk, manifest_hash=hash_of(approved))
        accounts = chart.program_accounts(program.pk)
        assert books.balance(accounts.payable) == -180_000
        assert Entry.objects.filter(kind="commitment").count() == 1

    def test_refuses_a_list_that_was_changed_after_approval(
        self, approved: Disbursement, releaser: User
    ) -> None:
        Payment.objects.filter(disbursement=approved, line=2).update(amount_sat=60_001)
        with pytest.raises(disbursements.ManifestChanged):
            disbursements.release(by=releaser, disbursement_id=approved.pk, manifest_hash=hash_of(approved))
        assert status_of(approved) == DisbursementStatus.APPROVED

    def test_refuses_what_nobody_approved(self, submitted: Disbursement, releaser: User) -> None:
        with pytest.raises(StatusConflict):
            disbursements.release(by=releaser, disbursement_id=submitted.pk, manifest_hash=hash_of(submitted))


class TestDatabase:
    @pytest.mark.parametrize("column", ["approved_by", "released_by"])
    def test_refuses_one_person_in_two_roles_by_raw_sql(self, column: str, approved: Disbursement) -> None:
        with pytest.raises(IntegrityError, match="disbursement_three_people"), transaction.atomic():
            Disbursement.objects.filter(pk=approved.pk).update(**{column: approved.made_by})

    def test_refuses_a_release_without_a_releaser(self, approved: Disbursement) -> None:
        with pytest.raises(IntegrityError, match="disbursement_released_by_somebody"), transaction.atomic():
            Disbursement.objects.filter(pk=approved.pk).update(status="released")

    def test_pays_a_person_once_a_cycle(self, program: Program, officer: User) -> None:
        first = factories.make_disbursement(program, officer)
        second = factories.make_disbursement(program, officer)
        person = Payment.objects.filter(disbursement=first).earliest("pk").beneficiary
        with pytest.raises(IntegrityError, match="payment_person_once_a_cycle"), transaction.atomic():
            Payment.objects.filter(disbursement=second, line=1).update(beneficiary=person)


class TestCancel:
    def test_of_an_approved_list_lifts_the_encumbrance_and_frees_its_people(
        self, approved: Disbursement, approver: User, officer: User, program: Program
    ) -> None:
        found = disbursements.cancel(by=approver, disbursement_id=approved.pk, note="wrong budget line")
        assert found.status == DisbursementStatus.CANCELLED
        accounts = chart.program_accounts(program.pk)
        assert books.balance(accounts.transfers) == books.balance(accounts.payable) == 0
        assert books.balance(accounts.transfers, layer="encumbered") == 0
        assert encumbrances.standing(approved) is None
        assert funds.of_program(program.pk).reserved_sat == 0
        assert set(approved.payments.values_list("status", flat=True)) == {"cancelled"}

    def test_needs_a_reason(self, approved: Disbursement, approver: User) -> None:
        with pytest.raises(InvalidInput, match="Say why"):
            disbursements.cancel(by=approver, disbursement_id=approved.pk, note="  ")
        assert status_of(approved) == DisbursementStatus.APPROVED

    def test_is_too_late_after_release(self, approved: Disbursement, approver: User, releaser: User) -> None:
        disbursements.release(by=releaser, disbursement_id=approved.pk, manifest_hash=hash_of(approved))
        with pytest.raises(StatusConflict):
            disbursements.cancel(by=approver, disbursement_id=approved.pk, note="too late")
        assert status_of(approved) == DisbursementStatus.RELEASED

    def test_of_a_rejected_list_is_refused(
        self, submitted: Disbursement, approver: User, officer: User
    ) -> None:
        disbursements.reject(by=approver, disbursement_id=submitted.pk, note="wrong month")
        with pytest.raises(StatusConflict):
            disbursements.cancel(by=officer, disbursement_id=submitted.pk, note="again")
