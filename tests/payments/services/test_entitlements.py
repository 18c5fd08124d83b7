"""Lines without an address: owed, payable by no tx, taken over by the list of what is claimed, or given back (R-18)."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from govpay.errors import InvalidInput
from ledger import books, chart
from ledger.models import Entry, Layer
from payments.models import (
    BudgetPeriod,
    Destination,
    Disbursement,
    Entitlement,
    Hold,
    Payment,
    Program,
)
from payments.payout import agreed, manifest
from payments.selectors import funds
from payments.services import authority, disbursements, entitlements, holds
from payments.services.entitlements import EntitlementGone, NothingClaimed
from payments.services.holds import HoldStands
from tests import claiming, factories, racing
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db

Three = tuple[User, User, User]


@pytest.fixture
def three(officer: User, approver: User, releaser: User) -> Three:
    """Make, approve, release."""
    return officer, approver, releaser


@pytest.fixture
def draft(program: Program, officer: User) -> Disbursement:
    """Three lines of 50,000, 60,000 and 70,000 sat; the second and third without an address."""
    factories.fund(program, 1_000_000)
    return claiming.waiting_list(program, officer, amounts_sat=[50_000, 60_000, 70_000], without=[2, 3])


@pytest.fixture
def released(draft: Disbursement, three: Three) -> Disbursement:
    """The list, released."""
    return claiming.release(draft, *three)


def statuses(disbursement: Disbursement) -> list[tuple[int, str, str | None]]:
    """Line, its own status and its entitlement's."""
    rows = Payment.objects.filter(disbursement=disbursement).order_by("line")
    return list(rows.values_list("line", "status", "entitlement__status"))


def owed(program: Program) -> int:
    """What the books owe people."""
    return -books.balance(chart.program_accounts(program.pk).payable)


class TestSubmission:
    def test_sets_lines_without_an_address_aside(self, draft: Disbursement, officer: User) -> None:
        claiming.submit(draft, officer)
        assert statuses(draft) == [(1, "pending", None), (2, "held", None), (3, "held", None)]
        assert (
            list(Hold.objects.order_by("payment").values_list("rule", "ended_at"))
            == [("unclaimed", None)] * 2
        )

    def test_refuses_them_where_the_program_takes_no_claims(
        self, draft: Disbursement, program: Program, officer: User
    ) -> None:
        Program.objects.filter(pk=program.pk).update(claim_term_days=None)
        with pytest.raises(InvalidInput) as refusal:
            claiming.submit(draft, officer)
        assert [(e["row"], e["code"]) for e in refusal.value.details["errors"]] == [
            (2, "destination_missing"),
            (3, "destination_missing"),
        ]
        assert Disbursement.objects.get(pk=draft.pk).status == "draft"

    def test_refuses_what_no_address_can_be_paid(self, program: Program, officer: User) -> None:
        draft = claiming.waiting_list(program, officer, amounts_sat=[545, 546], without=[1, 2])
        with pytest.raises(InvalidInput) as refusal:
            claiming.submit(draft, officer)
        assert [e["row"] for e in refusal.value.details["errors"]] == [1]

    def test_has_them_in_the_manifest_without_a_script(self, draft: Disbursement, officer: User) -> None:
        claiming.submit(draft, officer)
        text = b"".join(manifest.text(Disbursement.objects.get(pk=draft.pk))).decode().splitlines()
        assert [line.split("|")[2] == "" for line in text[-3:]] == [False, True, True]


class TestRelease:
    def test_owes_everything_and_opens_the_term(
        self, released: Disbursement, program: Program, three: Three
    ) -> None:
        assert owed(program) == 180_000
        rows = Entitlement.objects.order_by("payment__line")
        assert [row.payment.line for row in rows] == [2, 3]
        assert {row.expires_at - row.opened_at for row in rows} == {timedelta(days=90)}
        assert statuses(released)[1:] == [(2, "held", "waiting"), (3, "held", "waiting")]
        assert funds.of_program(program.pk).reserved_sat == 180_000 + (released.fee_reserved_sat or 0)

    def test_lets_nobody_resume_them(self, released: Disbursement, approver: User) -> None:
        line = Payment.objects.get(disbursement=released, line=2)
        with pytest.raises(HoldStands):
            holds.resume(by=approver, payment_id=line.pk, note="Pay it.")

    def test_pays_no_script_that_is_written_in_behind_the_guards(self, released: Disbursement) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE payments_payment SET script_pubkey = %s, status = 'pending' WHERE disbursement_id = %s AND line = 2",
                [factories.make_script(), released.pk],
            )
        agreed._manifests.clear()
        with pytest.raises(agreed.ApprovalForged):
            agreed.read(Disbursement.objects.select_related("program", "cycle").get(pk=released.pk))

    def test_pays_no_empty_script(self, released: Disbursement) -> None:
        line = Payment.objects.get(disbursement=released, line=2)
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE payments_payment SET script_pubkey = '' WHERE id = %s", [line.pk])
        whole = Disbursement.objects.select_related("program", "cycle").get(pk=released.pk)
        with pytest.raises(agreed.ApprovalForged, match="waits for its person"):
            agreed.require_lines(
                whole, [(line.pk, line.beneficiary_id, b"", line.amount_sat, None, line.amount_sat)]
            )

    def test_seals_only_lines_with_a_script(self, released: Disbursement) -> None:
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE payments_payment SET payout_id = 1, vout = 0, status = 'pending'"
                " WHERE disbursement_id = %s AND line = 2",
                [released.pk],
            )

    def test_withdrawal_ends_the_entitlement(
        self, released: Disbursement, program: Program, approver: User
    ) -> None:
        line = Payment.objects.get(disbursement=released, line=2)
        holds.withdraw(by=approver, payment_id=line.pk, note="Moved abroad.")
        assert statuses(released)[1] == (2, "cancelled", "withdrawn")
        assert owed(program) == 120_000


class TestClaimed:
    def test_is_listed_with_the_amount_and_linked(self, released: Disbursement, officer: User) -> None:
        address = claiming.bring_address(released, 2, officer)
        made = entitlements.list_claimed(by=officer, disbursement_id=released.pk)
        (line,) = Payment.objects.filter(disbursement=made)
        assert (made.status, made.total_sat, made.cycle) == ("draft", 60_000, released.cycle)
        assert line.beneficiary == address.beneficiary
        assert Entitlement.objects.get(paid_by=line).payment.line == 2
        with pytest.raises(NothingClaimed):
            entitlements.list_claimed(by=officer, disbursement_id=released.pk)

    def test_is_left_to_another_list_of_the_cycle_that_pays_the_person(
        self, released: Disbursement, officer: User, program: Program
    ) -> None:
        address = claiming.bring_address(released, 2, officer)
        other = factories.make_disbursement(program, officer, period=released.cycle.period)
        assert other.cycle == released.cycle
        Payment.objects.create(
            disbursement=other,
            cycle=other.cycle,
            line=9,
            beneficiary=address.beneficiary,
            amount_sat=60_000,
        )
        with pytest.raises(NothingClaimed):
            entitlements.list_claimed(by=officer, disbursement_id=released.pk)
        claiming.bring_address(released, 3, officer)
        assert entitlements.list_claimed(by=officer, disbursement_id=released.pk).total_sat == 70_000

    def test_counts_an_address_that_came_in_another_way(self, released: Disbursement, officer: User) -> None:
        person = claiming.person_of(released, 3)
        Destination.objects.create(
            beneficiary=person.beneficiary, script_pubkey=factories.make_script(), created_by=officer
        )
        made = entitlements.list_claimed(by=officer, disbursement_id=released.pk)
        assert made.total_sat == 70_000
        assert statuses(released)[2] == (3, "held", "claimed")

    def test_moves_its_money_to_the_list_when_that_is_approved(
        self, released: Disbursement, program: Program, three: Three
    ) -> None:
        claiming.bring_address(released, 2, three[0])
        made = entitlements.list_claimed(by=three[0], disbursement_id=released.pk)
        claiming.submit(made, three[0])
        assert owed(program) == 180_000
        hashed = bytes(Disbursement.objects.get(pk=made.pk).manifest_hash or b"")
        disbursements.approve(by=three[1], disbursement_id=made.pk, manifest_hash=hashed)
        assert statuses(released)[1] == (2, "cancelled", "listed")
        assert owed(program) == 120_000
        encumbered = books.balance(chart.program_accounts(program.pk).transfers, layer=Layer.ENCUMBERED)
        assert encumbered == 60_000
        disbursements.release(by=three[2], disbursement_id=made.pk, manifest_hash=hashed)
        assert owed(program) == 180_000
        assert statuses(made) == [(1, "pending", None)]

    def test_stays_claimed_where_the_list_is_rejected(
        self, released: Disbursement, program: Program, three: Three
    ) -> None:
        claiming.bring_address(released, 2, three[0])
        made = entitlements.list_claimed(by=three[0], disbursement_id=released.pk)
        claiming.submit(made, three[0])
        disbursements.reject(by=three[1], disbursement_id=made.pk, note="Too early.")
        assert (statuses(released)[1], owed(program)) == ((2, "held", "claimed"), 180_000)
        again = entitlements.list_claimed(by=three[0], disbursement_id=released.pk)
        assert again.total_sat == 60_000

    def test_may_be_listed_again_where_the_approved_list_was_withdrawn(
        self, released: Disbursement, program: Program, three: Three
    ) -> None:
        claiming.bring_address(released, 2, three[0])
        made = entitlements.list_claimed(by=three[0], disbursement_id=released.pk)
        claiming.approve(made, three[0], three[1])
        disbursements.cancel(by=three[1], disbursement_id=made.pk, note="A mistake.")
        again = entitlements.list_claimed(by=three[0], disbursement_id=released.pk)
        claiming.release(again, *three)
        assert owed(program) == 180_000
        assert (
            Entitlement.objects.get(payment__line=2, payment__disbursement=released).paid_by.disbursement
            == again
        )

    def test_is_refused_where_its_line_was_withdrawn(
        self, released: Disbursement, program: Program, three: Three
    ) -> None:
        claiming.bring_address(released, 2, three[0])
        made = entitlements.list_claimed(by=three[0], disbursement_id=released.pk)
        agreed_to = claiming.submit(made, three[0])
        line = Payment.objects.get(disbursement=released, line=2)
        holds.withdraw(by=three[1], payment_id=line.pk, note="Moved abroad.")
        with pytest.raises(EntitlementGone):
            disbursements.approve(by=three[1], disbursement_id=made.pk, manifest_hash=agreed_to)
        assert (Disbursement.objects.get(pk=made.pk).status, owed(program)) == ("submitted", 120_000)

    def test_commits_no_more_of_a_budget_than_before(
        self, draft: Disbursement, program: Program, three: Three
    ) -> None:
        period = scenes.allotted(program, three[0], three[1]).period
        released = claiming.release(draft, *three)
        before = BudgetPeriod.objects.get(pk=period.pk).committed_sat
        claiming.bring_address(released, 2, three[0])
        made = claiming.release(entitlements.list_claimed(by=three[0], disbursement_id=released.pk), *three)
        after = BudgetPeriod.objects.get(pk=period.pk)
        assert after.committed_sat == after.spent_sat == before + (made.fee_reserved_sat or 0)

    def test_is_the_officers_work(self, released: Disbursement, approver: User) -> None:
        with pytest.raises(authority.RoleMissing):
            entitlements.list_claimed(by=approver, disbursement_id=released.pk)


class TestExpiry:
    def test_gives_back_what_nobody_claimed(
        self, draft: Disbursement, program: Program, three: Three
    ) -> None:
        period = scenes.allotted(program, three[0], three[1]).period
        released = claiming.release(draft, *three)
        before = BudgetPeriod.objects.get(pk=period.pk).committed_sat
        claiming.bring_address(released, 2, three[0])
        over = timezone.now() + timedelta(days=91)
        assert entitlements.expire(released.pk, now=over) == (1, 70_000)
        assert statuses(released)[1:] == [(2, "held", "claimed"), (3, "cancelled", "expired")]
        assert owed(program) == 110_000
        assert BudgetPeriod.objects.get(pk=period.pk).committed_sat == before - 70_000
        line = Payment.objects.get(disbursement=released, line=3)
        assert Entry.objects.filter(idempotency_key=f"decommitment:payment:{line.pk}").count() == 1
        assert entitlements.expire(released.pk, now=over) == (0, 0)

    def test_waits_for_the_term(self, released: Disbursement) -> None:
        early = timezone.now() + timedelta(days=89)
        assert entitlements.expire(released.pk, now=early) == (0, 0)
        assert statuses(released)[1:] == [(2, "held", "waiting"), (3, "held", "waiting")]

    def test_is_found_by_a_round(self, released: Disbursement) -> None:
        from payments.payout import rounds

        assert list(rounds.entitlements_to_expire()) == []
        Entitlement.objects.filter(payment__line=3).update(
            opened_at=timezone.now() - timedelta(days=9), expires_at=timezone.now()
        )
        (ring,) = rounds.entitlements_to_expire()
        assert (ring.task, ring.ids) == ("expire_entitlements", {"disbursement_id": released.pk})


class TestRaces:
    @pytest.mark.django_db(transaction=True)
    def test_claim_and_expiry_end_it_once(
        self, released: Disbursement, program: Program, officer: User
    ) -> None:
        over = timezone.now() + timedelta(days=91)
        person = claiming.person_of(released, 2)
        first, second = racing.race(
            lambda: entitlements.claim(person.pk), lambda: entitlements.expire(released.pk, now=over)
        )
        assert (first, second.error, second.result) == (1, None, (1, 70_000))
        assert statuses(released)[1:] == [(2, "held", "claimed"), (3, "cancelled", "expired")]
        assert owed(program) == 110_000

    @pytest.mark.django_db(transaction=True)
    def test_approval_and_withdrawal_free_it_once(
        self, released: Disbursement, program: Program, three: Three
    ) -> None:
        claiming.bring_address(released, 2, three[0])
        made = entitlements.list_claimed(by=three[0], disbursement_id=released.pk)
        agreed_to = claiming.submit(made, three[0])
        line = Payment.objects.get(disbursement=released, line=2)
        _, second = racing.race(
            lambda: disbursements.approve(by=three[1], disbursement_id=made.pk, manifest_hash=agreed_to),
            lambda: holds.withdraw(by=three[2], payment_id=line.pk, note="Moved abroad."),
        )
        assert type(second.error).__name__ == "StatusConflict"
        assert statuses(released)[1] == (2, "cancelled", "listed")
        assert owed(program) == 120_000
