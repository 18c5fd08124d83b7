"""What lists commit and spend of a budget, and give back; two at once never get more than there is."""

from datetime import date, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ledger import books, chart
from ledger.models import Entry
from payments.models import Alarm, BudgetPeriod, Commitment, Disbursement, Payment, Payout, Program
from payments.payout import commitments
from payments.payout.commitments import NoBudgetPeriod, OverAllotment, OverCashRelease
from payments.services import budgets, disbursements, holds
from tests import budgeting, factories
from tests.budgeting import totals
from tests.payments.admin import scenes
from tests.racing import race

pytestmark = pytest.mark.django_db


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer")


@pytest.fixture
def made(program: Program, officer: User) -> Disbursement:
    """A submitted list of 50,000, 60,000 and 70,000 sat, in a wallet that carries several."""
    factories.fund(program, 5_000_000)
    return submitted(program, officer)


@pytest.fixture
def need_sat(made: Disbursement) -> int:
    """What the list needs: its payments and its fee ceiling."""
    assert made.fee_reserved_sat
    return 180_000 + made.fee_reserved_sat


def submitted(program: Program, officer: User, period: str = "2026-11") -> Disbursement:
    draft = factories.make_disbursement(program, officer, period=period)
    return disbursements.submit(by=officer, disbursement_id=draft.pk)


def approve(made: Disbursement, by: User) -> Disbursement:
    return disbursements.approve(
        by=by, disbursement_id=made.pk, manifest_hash=bytes(made.manifest_hash or b"")
    )


def release(made: Disbursement, by: User) -> Disbursement:
    return disbursements.release(
        by=by, disbursement_id=made.pk, manifest_hash=bytes(made.manifest_hash or b"")
    )


def booked(program: Program) -> tuple[int, int]:
    """Return what the books say is encumbered, and what is owed."""
    accounts = chart.program_accounts(program.pk)
    return books.balance(accounts.transfers, layer="encumbered"), -books.balance(accounts.payable)


def status(made: Disbursement) -> str:
    return str(Disbursement.objects.get(pk=made.pk).status)


class TestApprove:
    def test_without_any_period_commits_nothing(
        self, made: Disbursement, approver: User, releaser: User
    ) -> None:
        approve(made, approver)
        assert release(made, releaser).status == "released"
        assert Commitment.objects.count() == 0

    def test_commits_payments_and_fee_ceiling(
        self, made: Disbursement, need_sat: int, program: Program, approver: User
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=need_sat)
        approve(made, approver)
        assert totals(period) == (need_sat, 0, need_sat, 0)
        assert booked(program) == (180_000, 0)

    def test_of_one_satoshi_too_much_is_refused_with_the_figures(
        self, made: Disbursement, need_sat: int, program: Program, approver: User
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=need_sat - 1, cash_sat=1_000)
        with pytest.raises(OverAllotment) as error:
            approve(made, approver)
        assert error.value.details == {
            "needed_sat": need_sat,
            "available_sat": need_sat - 1,
            "budget_period_id": period.pk,
            "period": "2026-27",
            "allotted_sat": need_sat - 1,
            "cash_released_sat": 1_000,
            "committed_sat": 0,
            "spent_sat": 0,
        }
        assert totals(period) == (need_sat - 1, 1_000, 0, 0)
        assert (status(made), booked(program)) == ("submitted", (0, 0))

    def test_does_not_commit_lines_that_were_withdrawn(
        self, made: Disbursement, need_sat: int, program: Program, officer: User, approver: User
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=need_sat - 50_000)
        line = made.payments.get(line=1)
        holds.hold(by=officer, payment_id=line.pk, note="deceased")
        holds.withdraw(by=approver, payment_id=line.pk, note="confirmed")
        approve(made, approver)
        assert totals(period)[2] == need_sat - 50_000

    @pytest.mark.parametrize(("first", "last"), [(1, 30), (-30, -1)])
    def test_is_refused_where_no_period_covers_the_day(
        self, made: Disbursement, program: Program, approver: User, first: int, last: int
    ) -> None:
        today = timezone.now().date()
        days = (today + timedelta(days=first), today + timedelta(days=last))
        budgeting.make_period(program, allotted_sat=900_000, first_date=days[0], last_date=days[1])
        with pytest.raises(NoBudgetPeriod) as error:
            approve(made, approver)
        assert error.value.details == {"program_id": program.pk, "day": today.isoformat()}
        assert (status(made), Commitment.objects.count()) == ("submitted", 0)

    @pytest.mark.parametrize("offset", [0, 1])
    def test_takes_the_first_and_the_last_day_in(
        self, made: Disbursement, need_sat: int, program: Program, approver: User, offset: int
    ) -> None:
        today = timezone.now().date()
        first = today - timedelta(days=offset)
        period = budgeting.make_period(
            program, allotted_sat=need_sat, first_date=first, last_date=first + timedelta(days=1)
        )
        approve(made, approver)
        assert totals(period)[2] == need_sat

    def test_is_refused_once_the_only_period_is_closed(
        self, made: Disbursement, program: Program, approver: User, treasurer: User
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=900_000)
        budgets.close_period(by=treasurer, budget_period_id=period.pk, note="It is over.")
        with pytest.raises(NoBudgetPeriod):
            approve(made, approver)
        assert status(made) == "submitted"

    def test_asks_no_other_programs_budget(
        self, made: Disbursement, program: Program, approver: User
    ) -> None:
        budgeting.make_period(factories.make_program("OTHER"))
        assert approve(made, approver).status == "approved"


class TestRelease:
    def test_spends_what_is_committed(
        self, made: Disbursement, need_sat: int, program: Program, approver: User, releaser: User
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=900_000, cash_sat=need_sat)
        approve(made, approver)
        release(made, releaser)
        assert totals(period) == (900_000, need_sat, need_sat, need_sat)
        assert booked(program) == (0, 180_000)

    def test_of_one_satoshi_too_much_is_refused_with_the_figures(
        self, made: Disbursement, need_sat: int, program: Program, approver: User, releaser: User
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=900_000, cash_sat=need_sat - 1)
        approve(made, approver)
        with pytest.raises(OverCashRelease) as error:
            release(made, releaser)
        assert error.value.details == {
            "needed_sat": need_sat,
            "available_sat": need_sat - 1,
            "budget_period_id": period.pk,
            "period": "2026-27",
            "allotted_sat": 900_000,
            "cash_released_sat": need_sat - 1,
            "committed_sat": need_sat,
            "spent_sat": 0,
        }
        assert totals(period) == (900_000, need_sat - 1, need_sat, 0)
        assert (status(made), booked(program)) == ("approved", (180_000, 0))

    def test_is_refused_once_its_period_is_closed_or_over(
        self, made: Disbursement, program: Program, approver: User, releaser: User, treasurer: User
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=900_000, cash_sat=900_000)
        approve(made, approver)
        days = (period.first_date, period.last_date)
        BudgetPeriod.objects.update(first_date=date(2020, 1, 1), last_date=date(2020, 12, 31))
        with pytest.raises(NoBudgetPeriod) as error:
            release(made, releaser)
        assert error.value.details["period"] == "2026-27"
        BudgetPeriod.objects.update(first_date=days[0], last_date=days[1])
        budgets.close_period(by=treasurer, budget_period_id=period.pk, note="It is over.")
        with pytest.raises(NoBudgetPeriod):
            release(made, releaser)
        assert status(made) == "approved"
        # What it held comes back all the same.
        disbursements.cancel(by=approver, disbursement_id=made.pk, note="Listed anew.")
        assert totals(period)[2:] == (0, 0)

    def test_of_a_list_from_before_the_budget_commits_first(
        self, made: Disbursement, need_sat: int, program: Program, approver: User, releaser: User
    ) -> None:
        approve(made, approver)
        period = budgeting.make_period(program, allotted_sat=need_sat - 1, cash_sat=need_sat - 1)
        with pytest.raises(OverAllotment):
            release(made, releaser)
        assert (status(made), totals(period)[2:]) == ("approved", (0, 0))
        for kind in ("allotment", "cash_release"):
            budgeting.warrant(
                period,
                kind,
                1,
                officer=budgeting.member(program, "officer"),
                treasurer=budgeting.member(program, "treasurer"),
            )
        release(made, releaser)
        assert totals(period) == (need_sat,) * 4


class TestGiveBack:
    @pytest.fixture
    def period(self, program: Program, officer: User, treasurer: User) -> BudgetPeriod:
        return budgeting.make_period(program, allotted_sat=900_000, cash_sat=900_000)

    def withdraw_line(self, made: Disbursement, line: int, officer: User, approver: User) -> None:
        payment = made.payments.get(line=line)
        holds.hold(by=officer, payment_id=payment.pk, note="deceased")
        holds.withdraw(by=approver, payment_id=payment.pk, note="confirmed")

    def test_comes_when_an_approved_list_is_withdrawn(
        self, made: Disbursement, need_sat: int, period: BudgetPeriod, approver: User, program: Program
    ) -> None:
        approve(made, approver)
        assert totals(period)[2:] == (need_sat, 0)
        disbursements.cancel(by=approver, disbursement_id=made.pk, note="wrong month")
        assert totals(period)[2:] == (0, 0)
        assert booked(program) == (0, 0)

    def test_has_nothing_to_come_from_a_rejected_list(
        self, made: Disbursement, period: BudgetPeriod, approver: User
    ) -> None:
        disbursements.reject(by=approver, disbursement_id=made.pk, note="wrong month")
        assert totals(period)[2:] == (0, 0)

    def test_comes_line_by_line_before_and_after_the_release(
        self,
        made: Disbursement,
        need_sat: int,
        period: BudgetPeriod,
        officer: User,
        approver: User,
        releaser: User,
        program: Program,
    ) -> None:
        approve(made, approver)
        self.withdraw_line(made, 1, officer, approver)
        assert totals(period)[2:] == (need_sat - 50_000, 0)
        release(made, releaser)
        assert totals(period)[2:] == (need_sat - 50_000, need_sat - 50_000)
        self.withdraw_line(made, 2, officer, approver)
        assert totals(period)[2:] == (need_sat - 110_000, need_sat - 110_000)
        assert booked(program) == (0, 70_000)

    def test_is_all_once_the_last_line_of_an_approved_list_is_withdrawn(
        self, made: Disbursement, period: BudgetPeriod, officer: User, approver: User
    ) -> None:
        approve(made, approver)
        for line in (1, 2, 3):
            self.withdraw_line(made, line, officer, approver)
        assert totals(period)[2:] == (0, 0)

    def test_lets_the_next_list_commit_it(
        self, made: Disbursement, need_sat: int, program: Program, officer: User, approver: User
    ) -> None:
        budgeting.make_period(program, allotted_sat=need_sat)
        approve(made, approver)
        other = submitted(program, officer, period="2026-12")
        with pytest.raises(OverAllotment):
            approve(other, approver)
        disbursements.cancel(by=approver, disbursement_id=made.pk, note="wrong month")
        assert approve(other, approver).status == "approved"


class TestFollow:
    """A reorganization makes a list need again what it gave back."""

    @pytest.fixture
    def period(self, program: Program, officer: User, treasurer: User) -> BudgetPeriod:
        return budgeting.make_period(program, allotted_sat=900_000, cash_sat=900_000)

    @pytest.fixture
    def payouts(
        self,
        made: Disbursement,
        period: BudgetPeriod,
        program: Program,
        officer: User,
        approver: User,
        releaser: User,
    ) -> list[Payout]:
        """Two lists of 180,000 sat, each released and void whole."""
        found = []
        for listed in (made, submitted(program, officer, period="2026-12")):
            approve(listed, approver)
            release(listed, releaser)
            found.append(scenes.make_payout(listed, list(listed.payments.order_by("line"))))
        turn(found, "voided")
        return found

    def test_gives_back_what_is_void_and_takes_it_again(
        self, payouts: list[Payout], need_sat: int, period: BudgetPeriod
    ) -> None:
        assert totals(period)[2:] == (2 * need_sat - 360_000,) * 2
        turn(payouts, "voiding")
        assert totals(period)[2:] == (2 * need_sat,) * 2
        assert Alarm.objects.count() == 0

    @pytest.mark.parametrize("short", ["allotted_sat", "cash_released_sat"])
    def test_takes_what_is_free_and_calls_a_person_for_the_rest(
        self,
        payouts: list[Payout],
        need_sat: int,
        period: BudgetPeriod,
        short: str,
        officer: User,
        treasurer: User,
    ) -> None:
        # 50,000 sat more than the first list needs are free.
        free_sat = 230_000
        held_sat = 2 * need_sat - 360_000
        BudgetPeriod.objects.update(cash_released_sat=held_sat + free_sat)
        if short == "allotted_sat":
            BudgetPeriod.objects.update(allotted_sat=held_sat + free_sat)
        turn(payouts, "voiding")
        assert totals(period)[2:] == (held_sat + free_sat,) * 2
        first, second = Commitment.objects.order_by("pk")
        assert (first.committed_sat, first.missing_sat) == (need_sat, 0)
        assert (second.committed_sat, second.missing_sat) == (need_sat - 130_000, 130_000)
        alarm = Alarm.objects.get(closed_at=None)
        assert (alarm.code, alarm.subject_id) == ("budget_short", second.disbursement_id)
        assert alarm.message == (
            f"List {second.disbursement_id} needs 130000 sat more than is free in 2026-27."
        )
        # The next warrants fill it.
        kinds = ("allotment", "cash_release") if short == "allotted_sat" else ("cash_release",)
        for kind in kinds:
            budgeting.warrant(period, kind, 130_000, officer=officer, treasurer=treasurer)
        assert totals(period)[2:] == (2 * need_sat,) * 2
        assert not Alarm.objects.filter(closed_at=None).exists()

    def test_takes_as_many_queries_for_many_lists_as_for_few(
        self, payouts: list[Payout], need_sat: int
    ) -> None:
        counts = []
        for some in (payouts[:1], payouts):
            with CaptureQueriesContext(connection) as queries:
                turn(some, "voiding")
            counts.append(len(queries))
            turn(payouts, "voided")
        assert counts[0] == counts[1]

    def test_keeps_the_fee_of_a_child_that_comes_when_its_list_is_done(
        self, payouts: list[Payout], need_sat: int, period: BudgetPeriod
    ) -> None:
        first = payouts[0]
        turn([first], "settled")
        Disbursement.objects.filter(pk=first.disbursement_id).update(status="completed")
        commitments.follow([first.disbursement_id or 0])
        # What was paid and its fee, beside the other list's fee ceiling.
        held_sat = 180_000 + 1_234 + need_sat - 180_000
        assert totals(period)[2:] == (held_sat, held_sat)
        child = Payout.objects.create(
            wallet=first.wallet,
            kind="child",
            status="sent",
            parent=first,
            payment_count=0,
            payments_sat=0,
            manifest_hash=bytes(32),
            anchor_txid="ab" * 32,
            anchor_vout=0,
            booked_fee_sat=700,
        )
        commitments.follow_fees([child.pk])
        assert totals(period)[2:] == (held_sat + 700, held_sat + 700)
        # Of a list that is not done the fee ceiling counts, whatever its payouts cost by now.
        commitments.follow_fees([payouts[1].pk])
        assert totals(period)[2:] == (held_sat + 700, held_sat + 700)

    def test_lists_hold_no_more_than_is_committed_by_the_database_too(self, payouts: list[Payout]) -> None:
        with pytest.raises(IntegrityError, match="commitment_spent_in_part"), transaction.atomic():
            Commitment.objects.filter(disbursement=payouts[0].disbursement_id).update(committed_sat=1)


def turn(payouts: list[Payout], new: str) -> None:
    """Let blocks say so of the payouts, as the follower would."""
    ids = [payout.pk for payout in payouts]
    Payout.objects.filter(pk__in=ids).update(status=new)
    commitments.follow_payouts(ids)


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """Two connections; the second waits for the first at the period's row."""

    @pytest.fixture
    def other(self, program: Program, made: Disbursement) -> Disbursement:
        """A list of another program's size, of another officer."""
        return submitted(program, budgeting.member(program, "officer"), period="2026-12")

    def test_two_approvals_that_only_together_are_too_much_leave_one(
        self, made: Disbursement, other: Disbursement, need_sat: int, program: Program, approver: User
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=2 * need_sat - 1)
        _, racer = race(lambda: approve(made, approver), lambda: approve(other, approver))
        assert type(racer.error) is OverAllotment
        assert racer.error.details["available_sat"] == need_sat - 1
        assert totals(period)[2:] == (need_sat, 0)
        assert (status(made), status(other)) == ("approved", "submitted")
        assert Entry.objects.filter(kind="encumbrance").count() == 1

    def test_two_releases_that_only_together_are_too_much_leave_one(
        self,
        made: Disbursement,
        other: Disbursement,
        need_sat: int,
        program: Program,
        approver: User,
        releaser: User,
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=2 * need_sat, cash_sat=2 * need_sat - 1)
        approve(made, approver)
        approve(other, approver)
        _, racer = race(lambda: release(made, releaser), lambda: release(other, releaser))
        assert type(racer.error) is OverCashRelease
        assert totals(period) == (2 * need_sat, 2 * need_sat - 1, 2 * need_sat, need_sat)
        assert (status(made), status(other)) == ("released", "approved")
        assert Entry.objects.filter(kind="commitment").count() == 1

    def test_an_approval_that_waits_for_a_withdrawal_of_the_allotment_is_refused(
        self,
        made: Disbursement,
        need_sat: int,
        program: Program,
        officer: User,
        approver: User,
        treasurer: User,
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=need_sat)
        asked = budgets.propose(
            by=officer, budget_period_id=period.pk, kind="allotment", amount_sat=-1, note="A cut."
        )
        _, racer = race(
            lambda: budgets.confirm(by=treasurer, warrant_id=asked.pk), lambda: approve(made, approver)
        )
        assert type(racer.error) is OverAllotment
        assert totals(period) == (need_sat - 1, 0, 0, 0)
        assert status(made) == "submitted"

    def test_a_withdrawal_of_the_allotment_that_waits_for_an_approval_is_refused(
        self,
        made: Disbursement,
        need_sat: int,
        program: Program,
        officer: User,
        approver: User,
        treasurer: User,
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=need_sat)
        asked = budgets.propose(
            by=officer, budget_period_id=period.pk, kind="allotment", amount_sat=-1, note="A cut."
        )
        _, racer = race(
            lambda: approve(made, approver), lambda: budgets.confirm(by=treasurer, warrant_id=asked.pk)
        )
        assert type(racer.error) is OverAllotment
        assert totals(period) == (need_sat, 0, need_sat, 0)
        assert status(made) == "approved"

    def test_an_approval_that_waits_for_the_closing_is_refused(
        self, made: Disbursement, program: Program, approver: User, treasurer: User
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=900_000)
        _, racer = race(
            lambda: budgets.close_period(by=treasurer, budget_period_id=period.pk, note="It is over."),
            lambda: approve(made, approver),
        )
        assert type(racer.error) is NoBudgetPeriod
        assert totals(period)[2:] == (0, 0)

    def test_a_line_withdrawn_while_another_list_is_approved_is_given_back(
        self,
        made: Disbursement,
        other: Disbursement,
        need_sat: int,
        program: Program,
        officer: User,
        approver: User,
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=2 * need_sat)
        approve(made, approver)
        line: Payment = made.payments.get(line=3)
        holds.hold(by=officer, payment_id=line.pk, note="deceased")
        _, racer = race(
            lambda: approve(other, approver),
            lambda: holds.withdraw(by=approver, payment_id=line.pk, note="confirmed"),
        )
        assert racer.error is None
        assert totals(period)[2:] == (2 * need_sat - 70_000, 0)
