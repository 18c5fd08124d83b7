"""Outcome figures: each is what its numerator and denominator say, and nothing where nothing was counted (R-22)."""

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from ledger.models import ReconciliationRun
from payments.models import (
    BankFile,
    Disbursement,
    Entitlement,
    IntakeError,
    OutcomeFigure,
    Payment,
    Payout,
    Program,
    StatusChange,
)
from payments.selectors import outcomes
from payments.selectors.outcomes import Measure
from payments.services import (
    bank_reports,
    bank_writing,
    disbursements,
    entitlements,
    grievance_replies,
    grievances,
    holds,
    vouchers,
)
from payments.services import outcomes as service
from payments.states import PayoutStatus
from tests import banking, claiming, factories, railing
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db

F = OutcomeFigure
DAY = timedelta(days=1)
NOW = timezone.now()


def figures(
    program: Program, *, since: datetime = NOW - DAY, before: datetime = NOW + DAY
) -> dict[str, Measure]:
    """All figures of the program by name."""
    return {row.figure: row.now for row in outcomes.of_program(program, since=since, before=before)}


def settle(payout: Payout, at: datetime) -> None:
    """Let the payout be settled at that time, as the follower would have it."""
    Payout.objects.filter(pk=payout.pk).update(status=PayoutStatus.SETTLED)
    change = StatusChange.objects.create(
        subject="payout", subject_id=payout.pk, old="mined", new="settled", reason="deep"
    )
    StatusChange.objects.filter(pk=change.pk).update(at=at)


@pytest.fixture
def listed(program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
    """A released list of four payments, 10,000 to 40,000 sat, approved just now."""
    factories.fund(program, 10_000_000)
    made = scenes.approved(program, officer, approver, amounts_sat=[10_000, 20_000, 30_000, 40_000])
    agreed = bytes(made.manifest_hash or b"")
    return disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)


@pytest.fixture
def payouts(listed: Disbursement) -> list[Payout]:
    """Three payments in one payout, one in another."""
    payments = list(Payment.objects.filter(disbursement=listed).order_by("line"))
    return [scenes.make_payout(listed, payments[:3]), scenes.make_payout(listed, payments[3:])]


class TestNothing:
    def test_says_nothing_of_nothing(self, program: Program) -> None:
        found = outcomes.of_program(program, since=NOW - DAY, before=NOW + DAY)
        assert [row.figure for row in found] == list(OutcomeFigure)
        assert all(row.now.ratio is None and row.now.seconds is None for row in found)


class TestPaid:
    def test_counts_what_is_settled_and_what_it_cost(self, payouts: list[Payout], program: Program) -> None:
        settle(payouts[0], NOW + timedelta(hours=1))
        found = figures(program)
        assert found[F.SETTLED_SHARE] == Measure(3, 4)
        assert found[F.COST_PER_PAYMENT] == Measure(1_234, 3)
        assert found[F.COST_SHARE].ratio == Fraction(1_234, 60_000)

    def test_adds_the_fee_of_a_child_to_its_parent(self, payouts: list[Payout], program: Program) -> None:
        settle(payouts[0], NOW)
        Payout.objects.create(
            kind="child",
            wallet=program.wallet,
            parent=payouts[0],
            status=PayoutStatus.SETTLED,
            payment_count=0,
            payments_sat=0,
            manifest_hash=bytes(32),
            anchor_txid="ab" * 32,
            anchor_vout=0,
            booked_fee_sat=766,
        )
        assert figures(program)[F.COST_PER_PAYMENT] == Measure(2_000, 3)

    def test_weighs_times_by_payments(
        self, listed: Disbursement, payouts: list[Payout], program: Program
    ) -> None:
        approved_at = Disbursement.objects.get(pk=listed.pk).approved_at
        assert approved_at is not None
        settle(payouts[0], approved_at + timedelta(seconds=100))
        settle(payouts[1], approved_at + timedelta(seconds=900))
        found = figures(program)
        assert found[F.APPROVED_TO_SETTLED_P50] == Measure(4, 4, 100)
        assert found[F.APPROVED_TO_SETTLED_P95] == Measure(4, 4, 900)

    def test_counts_from_the_last_time_it_settled(
        self, listed: Disbursement, payouts: list[Payout], program: Program
    ) -> None:
        approved_at = Disbursement.objects.get(pk=listed.pk).approved_at
        assert approved_at is not None
        settle(payouts[0], approved_at + timedelta(seconds=10))
        settle(payouts[0], approved_at + timedelta(seconds=70))
        assert figures(program)[F.APPROVED_TO_SETTLED_P50] == Measure(3, 4, 70)

    def test_counts_payments_whose_payout_was_given_up(self, payouts: list[Payout], program: Program) -> None:
        Payout.objects.filter(pk=payouts[1].pk).update(status=PayoutStatus.VOIDED)
        assert figures(program)[F.FAILED_SHARE] == Measure(1, 4)

    def test_finds_the_first_clean_run_that_began_after_the_settlement(
        self, payouts: list[Payout], program: Program
    ) -> None:
        settle(payouts[0], NOW)
        settle(payouts[1], NOW + timedelta(hours=9))
        for start_s, status in ((-60, "clean"), (50, "breaks"), (100, "clean"), (200, "clean")):
            run(program, NOW + timedelta(seconds=start_s), status)
        assert figures(program)[F.SETTLED_TO_RECONCILED_P95] == Measure(3, 4, 105)

    def test_leaves_out_what_was_approved_at_another_time_and_elsewhere(
        self, payouts: list[Payout], program: Program
    ) -> None:
        settle(payouts[0], NOW)
        assert figures(program, since=NOW - 9 * DAY, before=NOW - DAY)[F.SETTLED_SHARE] == Measure(0, 0)
        assert figures(factories.make_program("OTHER"))[F.SETTLED_SHARE] == Measure(0, 0)

    def test_takes_as_many_statements_whatever_there_is(
        self, payouts: list[Payout], program: Program, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(7):
            figures(program)


class TestRails:
    """Lists by bank and by voucher count like those in bitcoin, and each rail for itself."""

    @pytest.fixture
    def money(self, db: None) -> Program:
        return railing.make_money()

    @pytest.fixture
    def paid(self, money: Program) -> None:
        """By bank one of three is paid after 100 s and one rejected; by voucher two of three are redeemed after an hour."""
        cast = railing.make_cast(money)
        banked = railing.release(railing.draft(money, cast, "bank"), cast)
        file = BankFile.objects.get()
        bank_writing.write(file.pk)
        file, data = bank_writing.fetch(by=cast[3], bank_file_id=file.pk)
        said = {f"{file.message_id}-1": ("ACSC", ""), f"{file.message_id}-2": ("RJCT", "AC04")}
        approved_at = Disbursement.objects.get(pk=banked.pk).approved_at
        assert approved_at is not None
        bank_reports.take_of_program(
            by=cast[3],
            program_id=money.pk,
            file=banking.answer(data.read(), said),
            now=approved_at + timedelta(seconds=100),
        )
        slips = railing.release(railing.draft(money, cast, "voucher", period="2026-12"), cast)
        approved_at = Disbursement.objects.get(pk=slips.pk).approved_at
        assert approved_at is not None
        agent = factories.make_member(money, "agent")
        for slip in vouchers.issue(by=cast[0], disbursement_id=slips.pk)[:2]:
            at = approved_at + timedelta(hours=1)
            vouchers.redeem(by=agent, program_id=money.pk, code=slip.code, now=at)

    def test_are_counted_together_and_for_themselves(self, paid: None, money: Program) -> None:
        found = {row.figure: row for row in outcomes.of_program(money, since=NOW - DAY, before=NOW + DAY)}
        expected = {
            F.SETTLED_SHARE: (Measure(3, 6), Measure(1, 3), Measure(2, 3)),
            F.APPROVED_TO_SETTLED_P50: (Measure(3, 6, 3_600), Measure(1, 3, 100), Measure(2, 3, 3_600)),
            F.APPROVED_TO_SETTLED_P95: (Measure(3, 6, 3_600), Measure(1, 3, 100), Measure(2, 3, 3_600)),
            F.FAILED_SHARE: (Measure(1, 6), Measure(1, 3), Measure(0, 3)),
        }
        for figure, (all_of_them, by_bank, by_voucher) in expected.items():
            assert (found[figure].now, found[figure].by_rail) == (
                all_of_them,
                {"bank": by_bank, "voucher": by_voucher},
            )

    def test_cost_and_reconciliation_are_of_bitcoin_alone(self, paid: None, money: Program) -> None:
        found = {row.figure: row for row in outcomes.of_program(money, since=NOW - DAY, before=NOW + DAY)}
        for figure in (F.COST_PER_PAYMENT, F.COST_SHARE, F.SETTLED_TO_RECONCILED_P95):
            assert (found[figure].now, found[figure].by_rail) == (Measure(0, 0), {})


class TestRows:
    def test_counts_held_payments_once(self, listed: Disbursement, program: Program, officer: User) -> None:
        payment = Payment.objects.filter(disbursement=listed).order_by("line")[0]
        holds.hold(by=officer, payment_id=payment.pk, note="The name is wrong.")
        assert figures(program)[F.HELD_SHARE] == Measure(1, 4)

    def test_counts_rows_that_repeat_somebody_once_each(self, program: Program, officer: User) -> None:
        intake = scenes.refused_intake(program, officer, errors=5)
        for row, code in (
            (1, "person_enrolled"),
            (1, "reference_taken"),
            (2, "national_id_duplicate"),
            (0, "file_seen_before"),
        ):
            IntakeError.objects.create(intake=intake, row=row, column="x", code=code, message="Again.")
        assert figures(program)[F.DUPLICATES_STOPPED] == Measure(2, 5)


class TestGrievances:
    def test_counts_payments_that_are_complained_of_once(
        self, listed: Disbursement, program: Program, officer: User
    ) -> None:
        payment = Payment.objects.filter(disbursement=listed).order_by("line")[0]
        for _ in range(2):
            lodge(program, officer, payment_id=payment.pk)
        back = lodge(program, officer, payment_id=payment.pk + 1)
        grievance_replies.withdraw(grievance_id=back.grievance.pk, secret=back.secret)
        assert figures(program)[F.DISPUTED_SHARE] == Measure(1, 4)

    def test_counts_answers_in_time_of_what_is_due(self, program: Program, officer: User) -> None:
        lodge(program, officer)
        lodge(program, officer, now=NOW - timedelta(days=40))
        for late_days in (0, 31):
            made = lodge(program, officer, now=NOW - timedelta(days=35)).grievance
            grievances.take(by=officer, grievance_id=made.pk)
            grievances.answer(
                by=officer,
                grievance_id=made.pk,
                finding="upheld",
                text="Yes.",
                now=made.lodged_at + timedelta(days=late_days),
            )
        assert figures(program, since=NOW - 50 * DAY)[F.ANSWERED_IN_TIME] == Measure(1, 3)


class TestUnclaimed:
    def test_counts_each_line_once_as_it_is_claimed_paid_expires_or_is_withdrawn(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        """Six lines, of which the first has an address; what another list pays is counted there alone."""
        three = officer, approver, releaser
        factories.fund(program, 10_000_000)
        draft = claiming.waiting_list(program, officer, amounts_sat=[50_000] * 6, without=[2, 3, 4, 5, 6])
        assert figures(program)[F.UNCLAIMED_SHARE] == Measure(0, 0)
        first = claiming.release(draft, *three)
        assert figures(program)[F.UNCLAIMED_SHARE] == Measure(5, 6)
        for line in (2, 3):
            claiming.bring_address(first, line, officer)
        # Claimed, and in no list yet.
        assert figures(program)[F.UNCLAIMED_SHARE] == Measure(3, 6)
        second = entitlements.list_claimed(by=officer, disbursement_id=first.pk)
        claiming.approve(second, officer, approver)
        # The first list pays two less, and the second is not released.
        assert figures(program)[F.UNCLAIMED_SHARE] == Measure(3, 4)
        agreed = bytes(Disbursement.objects.get(pk=second.pk).manifest_hash or b"")
        disbursements.release(by=releaser, disbursement_id=second.pk, manifest_hash=agreed)
        assert figures(program)[F.UNCLAIMED_SHARE] == Measure(3, 6)
        withdrawn = Payment.objects.get(disbursement=first, line=4)
        holds.withdraw(by=approver, payment_id=withdrawn.pk, note="She moved abroad.")
        assert figures(program)[F.UNCLAIMED_SHARE] == Measure(2, 5)
        # One of the two goes back, and stays unclaimed.
        Entitlement.objects.filter(payment__line=5).update(opened_at=NOW - 9 * DAY, expires_at=NOW - DAY)
        assert entitlements.expire(first.pk) == (1, 50_000)
        assert figures(program)[F.UNCLAIMED_SHARE] == Measure(2, 5)
        assert figures(program)[F.UNCLAIMED_SHARE].ratio == Fraction(2, 5)
        # Nobody held any of these lines.
        assert figures(program)[F.HELD_SHARE] == Measure(0, 8)
        assert figures(program, since=NOW - 9 * DAY, before=NOW - DAY)[F.UNCLAIMED_SHARE] == Measure(0, 0)


def lodge(program: Program, by: User, **columns: Any) -> grievances.Lodged:
    """Somebody complains."""
    return grievances.lodge(by=by, program_id=program.pk, category="other", text="It is wrong.", **columns)


class TestBaseline:
    def test_shows_the_newest_of_each_figure(self, program: Program) -> None:
        by = factories.make_member(program, "treasurer")
        for numerator in (16, 17):
            service.enter_baseline(
                by=by,
                program_id=program.pk,
                figure=F.COST_SHARE,
                numerator=numerator,
                denominator=1_000,
                source="Report 2024, p. 7",
            )
        found = {
            row.figure: row.baseline for row in outcomes.of_program(program, since=NOW, before=NOW + DAY)
        }
        shown = found.pop(F.COST_SHARE)
        assert shown is not None
        assert (shown.numerator, shown.source) == (17, "Report 2024, p. 7")
        assert set(found.values()) == {None}


def run(program: Program, at: datetime, status: str) -> None:
    """A run that took five seconds."""
    ReconciliationRun.objects.create(
        scope=program.scope,
        status=status,
        is_full=True,
        block_hash="00" * 32,
        block_height=1,
        books_mark="",
        counts={},
        totals={},
        break_count=0,
        explained_count=0,
        digest=bytes(32),
        started_at=at,
        finished_at=at + timedelta(seconds=5),
    )
