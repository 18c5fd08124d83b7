"""Fiscal periods and their warrants: who may, twice, and that every refusal moves nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.utils import IntegrityError

from govpay.errors import GovPayError, InvalidInput, NotFound, SamePersonTwice
from payments.models import BudgetPeriod, Program, StatusChange, Warrant
from payments.payout.commitments import OverAllotment, OverCashRelease
from payments.services import authority, budgets, interventions
from payments.states import StatusConflict
from tests import budgeting, factories
from tests.budgeting import totals
from tests.racing import race

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 29)


@pytest.fixture
def period(program: Program, officer: User, treasurer: User) -> BudgetPeriod:
    """A period with 500,000 sat allotted and 300,000 released."""
    return budgeting.make_period(program, allotted_sat=500_000, cash_sat=300_000)


@contextmanager
def refused(error: type[GovPayError]) -> Iterator[pytest.ExceptionInfo[GovPayError]]:
    """Expect a refusal that leaves periods, warrants and histories as they were."""
    before = state()
    with pytest.raises(error) as caught, transaction.atomic():
        yield caught
    assert state() == before


def state() -> tuple[Any, ...]:
    return (
        list(BudgetPeriod.objects.order_by("pk").values()),
        list(Warrant.objects.order_by("pk").values()),
        StatusChange.objects.count(),
    )


def propose(period: BudgetPeriod, by: User, kind: str = "allotment", amount_sat: int = 1_000) -> Warrant:
    return budgets.propose(
        by=by, budget_period_id=period.pk, kind=kind, amount_sat=amount_sat, note="By the budget."
    )


def open_period(program: Program, by: User, **columns: Any) -> BudgetPeriod:
    asked = {"name": "2026-27", "first_date": date(2026, 7, 1), "last_date": date(2027, 6, 30)} | columns
    return budgets.open_period(by=by, program_id=program.pk, **asked)


class TestFiscalYear:
    @pytest.mark.parametrize(
        ("month", "day", "first", "last"),
        [
            (7, TODAY, date(2026, 7, 1), date(2027, 6, 30)),
            (7, date(2026, 6, 30), date(2025, 7, 1), date(2026, 6, 30)),
            (1, TODAY, date(2026, 1, 1), date(2026, 12, 31)),
            (3, date(2027, 3, 1), date(2027, 3, 1), date(2028, 2, 29)),
        ],
    )
    def test_begins_in_the_month_of_the_settings(
        self, settings: Any, month: int, day: date, first: date, last: date
    ) -> None:
        settings.LEDGER_FISCAL_YEAR_MONTH = month
        assert budgets.fiscal_year(day) == (first, last)


class TestOpen:
    def test_has_nothing_allotted(self, program: Program, treasurer: User) -> None:
        made = open_period(program, treasurer, name=" 2026-27 ")
        assert (made.name, made.is_open, made.opened_by) == ("2026-27", True, treasurer)
        assert totals(made) == (0, 0, 0, 0)

    @pytest.mark.parametrize("role", ["officer", "approver", "releaser", "signer", "auditor"])
    def test_is_refused_to_every_other_role(self, program: Program, role: str) -> None:
        with refused(authority.RoleMissing):
            open_period(program, factories.make_member(program, role))

    def test_is_not_found_by_others(self, program: Program, outsider: User) -> None:
        with refused(NotFound):
            open_period(program, outsider)

    @pytest.mark.parametrize(
        ("columns", "code"),
        [
            ({"name": "  "}, "missing"),
            ({"name": "x" * 41}, "too_long"),
            ({"last_date": date(2026, 6, 30)}, "days_reversed"),
        ],
    )
    def test_is_refused_where_it_breaks_a_rule(
        self, program: Program, treasurer: User, columns: dict[str, Any], code: str
    ) -> None:
        with refused(InvalidInput) as error:
            open_period(program, treasurer, **columns)
        assert error.value.details["errors"][0]["code"] == code

    @pytest.mark.parametrize(
        "columns",
        [
            {"first_date": date(2027, 6, 30), "last_date": date(2028, 6, 30), "name": "2027-28"},
            {"first_date": date(2026, 1, 1), "last_date": date(2026, 7, 1), "name": "2026"},
            {"first_date": date(2026, 9, 1), "last_date": date(2026, 9, 1), "name": "a day"},
            {"first_date": date(2027, 7, 1), "last_date": date(2028, 6, 30)},
        ],
    )
    def test_shares_no_day_and_no_name_with_another(
        self, program: Program, treasurer: User, columns: dict[str, Any]
    ) -> None:
        open_period(program, treasurer)
        with refused(budgets.PeriodOverlaps):
            open_period(program, treasurer, **columns)

    def test_follows_the_last_or_stands_in_for_a_closed_one(self, program: Program, treasurer: User) -> None:
        first = open_period(program, treasurer)
        open_period(
            program, treasurer, name="2027-28", first_date=date(2027, 7, 1), last_date=date(2028, 6, 30)
        )
        budgets.close_period(by=treasurer, budget_period_id=first.pk, note="The days were wrong.")
        open_period(program, treasurer, name="2026-27 (2)", last_date=date(2026, 12, 31))
        assert BudgetPeriod.objects.filter(closed_at=None).count() == 2

    def test_of_another_program_may_have_the_same_days(self, program: Program, treasurer: User) -> None:
        open_period(program, treasurer)
        other = factories.make_program("OTHER")
        assert open_period(other, factories.make_member(other, "treasurer")).is_open

    def test_sharing_days_is_refused_by_the_database_too(self, program: Program, treasurer: User) -> None:
        made = open_period(program, treasurer)
        with pytest.raises(IntegrityError, match="budgetperiod_days_once"), transaction.atomic():
            BudgetPeriod.objects.create(
                program=program,
                name="another",
                first_date=made.last_date,
                last_date=made.last_date + timedelta(days=1),
                opened_by=treasurer,
            )


class TestClose:
    def test_is_for_good(self, period: BudgetPeriod, officer: User, treasurer: User) -> None:
        waiting = propose(period, officer)
        closed = budgets.close_period(by=treasurer, budget_period_id=period.pk, note=" The year is over. ")
        assert (closed.is_open, closed.closed_by, closed.close_note) == (
            False,
            treasurer,
            "The year is over.",
        )
        with refused(budgets.PeriodClosed):
            budgets.close_period(by=treasurer, budget_period_id=period.pk, note="Again.")
        with refused(budgets.PeriodClosed):
            propose(period, officer)
        with refused(budgets.PeriodClosed):
            budgets.confirm(by=treasurer, warrant_id=waiting.pk)
        assert totals(period) == (500_000, 300_000, 0, 0)

    def test_takes_a_treasurer_and_a_reason(
        self, period: BudgetPeriod, officer: User, treasurer: User, outsider: User
    ) -> None:
        with refused(authority.RoleMissing):
            budgets.close_period(by=officer, budget_period_id=period.pk, note="x")
        with refused(InvalidInput):
            budgets.close_period(by=treasurer, budget_period_id=period.pk, note=" ")
        with refused(NotFound):
            budgets.close_period(by=outsider, budget_period_id=period.pk, note="x")


class TestPropose:
    def test_moves_no_total_before_a_treasurer_agrees(
        self, period: BudgetPeriod, officer: User, treasurer: User
    ) -> None:
        made = propose(period, officer, amount_sat=70_000)
        assert (made.status, made.proposed_by) == ("proposed", officer)
        assert totals(period) == (500_000, 300_000, 0, 0)
        done = budgets.confirm(by=treasurer, warrant_id=made.pk, note="As voted.")
        assert (done.status, done.decided_by) == ("confirmed", treasurer)
        assert totals(period) == (570_000, 300_000, 0, 0)
        change = StatusChange.objects.get(subject="warrant", subject_id=made.pk)
        assert (change.actor, change.note, change.reason) == (treasurer, "As voted.", "a treasurer agreed")

    @pytest.mark.parametrize("role", ["approver", "releaser", "signer", "treasurer", "auditor"])
    def test_is_refused_to_every_other_role(self, period: BudgetPeriod, program: Program, role: str) -> None:
        with refused(authority.RoleMissing):
            propose(period, budgeting.member(program, role))

    @pytest.mark.parametrize(
        ("amount_sat", "code"),
        [(0, "amount_zero"), (2_100_000_000_000_001, "amount_too_large"), (-(2**60), "amount_too_large")],
    )
    def test_is_refused_for_amounts_that_are_none(
        self, period: BudgetPeriod, officer: User, amount_sat: int, code: str
    ) -> None:
        with refused(InvalidInput) as error:
            propose(period, officer, amount_sat=amount_sat)
        assert error.value.details["errors"][0]["code"] == code

    def test_takes_a_reason(self, period: BudgetPeriod, officer: User) -> None:
        for note in (" ", "x" * 301):
            with refused(InvalidInput):
                budgets.propose(
                    by=officer, budget_period_id=period.pk, kind="allotment", amount_sat=1, note=note
                )


class TestDecide:
    @pytest.mark.parametrize("verb", ["confirm", "reject"])
    @pytest.mark.parametrize("role", ["officer", "approver", "releaser", "signer", "auditor"])
    def test_is_a_treasurers(
        self, period: BudgetPeriod, program: Program, officer: User, verb: str, role: str
    ) -> None:
        made = propose(period, officer)
        with refused(authority.RoleMissing):
            getattr(budgets, verb)(
                by=factories.make_member(program, role, "another"), warrant_id=made.pk, note="x"
            )

    @pytest.mark.parametrize("verb", ["confirm", "reject"])
    def test_is_never_the_proposers_who_is_a_treasurer_too(
        self, period: BudgetPeriod, program: Program, officer: User, verb: str
    ) -> None:
        made = propose(period, officer)
        factories.change_role(program, officer, "treasurer")
        with refused(SamePersonTwice):
            getattr(budgets, verb)(by=factories.rename(officer, "another"), warrant_id=made.pk, note="x")

    def test_by_one_person_is_refused_by_the_database_too(self, period: BudgetPeriod, officer: User) -> None:
        made = propose(period, officer)
        with pytest.raises(IntegrityError, match="warrant_two_people"), transaction.atomic():
            Warrant.objects.filter(pk=made.pk).update(status="confirmed", decided_by=officer)
        with pytest.raises(IntegrityError, match="warrant_decided_by_somebody"), transaction.atomic():
            Warrant.objects.filter(pk=made.pk).update(status="confirmed")

    @pytest.mark.parametrize("first", ["confirm", "reject", "withdraw"])
    def test_comes_once(self, period: BudgetPeriod, officer: User, treasurer: User, first: str) -> None:
        made = propose(period, officer)
        getattr(budgets, first)(
            by=officer if first == "withdraw" else treasurer, warrant_id=made.pk, note="x"
        )
        for verb, by in (("confirm", treasurer), ("reject", treasurer), ("withdraw", officer)):
            with refused(StatusConflict):
                getattr(budgets, verb)(by=by, warrant_id=made.pk, note="x")

    def test_rejects_for_a_reason_and_moves_no_total(
        self, period: BudgetPeriod, officer: User, treasurer: User
    ) -> None:
        made = propose(period, officer)
        with refused(InvalidInput):
            budgets.reject(by=treasurer, warrant_id=made.pk, note=" ")
        assert budgets.reject(by=treasurer, warrant_id=made.pk, note="Not voted.").status == "rejected"
        assert totals(period) == (500_000, 300_000, 0, 0)

    def test_only_the_proposer_takes_it_back(
        self, period: BudgetPeriod, officer: User, treasurer: User, outsider: User
    ) -> None:
        made = propose(period, officer)
        with refused(interventions.NotTheProposer):
            budgets.withdraw(by=treasurer, warrant_id=made.pk, note="x")
        with refused(NotFound):
            budgets.withdraw(by=outsider, warrant_id=made.pk, note="x")
        assert budgets.withdraw(by=officer, warrant_id=made.pk, note="A slip.").status == "withdrawn"


# What stands: 500,000 allotted, 300,000 released, 200,000 committed, 150,000 spent.
FITS = [
    ("allotment", -200_000, None),
    ("allotment", -200_001, OverAllotment),
    ("cash_release", 200_000, None),
    ("cash_release", 200_001, OverAllotment),
    ("cash_release", -150_000, None),
    ("cash_release", -150_001, OverCashRelease),
]


class TestBounds:
    @pytest.fixture
    def period(self, program: Program, officer: User, treasurer: User) -> BudgetPeriod:
        found = budgeting.make_period(program, allotted_sat=500_000, cash_sat=300_000)
        BudgetPeriod.objects.filter(pk=found.pk).update(committed_sat=200_000, spent_sat=150_000)
        return found

    @pytest.mark.parametrize(("kind", "amount_sat", "error"), FITS)
    def test_are_judged_when_it_is_confirmed(
        self,
        period: BudgetPeriod,
        officer: User,
        treasurer: User,
        kind: str,
        amount_sat: int,
        error: Any,
    ) -> None:
        made = propose(period, officer, kind, amount_sat)
        if error is None:
            assert budgets.confirm(by=treasurer, warrant_id=made.pk).status == "confirmed"
            return
        with refused(error) as caught:
            budgets.confirm(by=treasurer, warrant_id=made.pk)
        assert caught.value.details == {
            "asked_sat": amount_sat,
            "budget_period_id": period.pk,
            "period": "2026-27",
            "allotted_sat": 500_000,
            "cash_released_sat": 300_000,
            "committed_sat": 200_000,
            "spent_sat": 150_000,
        }

    def test_of_an_allotment_are_what_is_committed_where_that_is_more(
        self, period: BudgetPeriod, officer: User, treasurer: User
    ) -> None:
        BudgetPeriod.objects.filter(pk=period.pk).update(committed_sat=450_000)
        made = propose(period, officer, amount_sat=-50_001)
        with refused(OverAllotment):
            budgets.confirm(by=treasurer, warrant_id=made.pk)

    @pytest.mark.parametrize(
        ("change", "constraint"),
        [
            ({"committed_sat": 500_001}, "budgetperiod_within_allotment"),
            ({"cash_released_sat": 500_001}, "budgetperiod_cash_allotted"),
            ({"cash_released_sat": 149_999}, "budgetperiod_within_cash"),
            ({"committed_sat": 149_999}, "budgetperiod_spends_commitments"),
            ({"spent_sat": -1}, "budgetperiod_spends_commitments"),
        ],
    )
    def test_are_held_by_the_database_too(
        self, period: BudgetPeriod, change: dict[str, int], constraint: str
    ) -> None:
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            BudgetPeriod.objects.filter(pk=period.pk).update(**change)


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_two_withdrawals_that_only_together_are_too_much_leave_one(
        self, program: Program, officer: User, treasurer: User
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=500_000, cash_sat=300_000)
        asked = [propose(period, officer, amount_sat=-150_000) for _ in range(2)]
        _, racer = race(
            lambda: budgets.confirm(by=treasurer, warrant_id=asked[0].pk),
            lambda: budgets.confirm(by=treasurer, warrant_id=asked[1].pk),
        )
        assert type(racer.error) is OverAllotment
        assert totals(period) == (350_000, 300_000, 0, 0)
        assert Warrant.objects.get(pk=asked[1].pk).status == "proposed"

    def test_two_treasurers_confirm_one_warrant_once(
        self, program: Program, officer: User, treasurer: User, second: User
    ) -> None:
        period = budgeting.make_period(program)
        made = propose(period, officer, amount_sat=500)
        _, racer = race(
            lambda: budgets.confirm(by=treasurer, warrant_id=made.pk),
            lambda: budgets.confirm(by=second, warrant_id=made.pk),
        )
        assert type(racer.error) is StatusConflict
        assert totals(period)[0] == 500

    def test_two_first_periods_of_the_same_days_leave_one(
        self, program: Program, treasurer: User, second: User
    ) -> None:
        _, racer = race(
            lambda: open_period(program, treasurer),
            lambda: open_period(program, second, name="another"),
        )
        assert type(racer.error) is budgets.PeriodOverlaps
        assert BudgetPeriod.objects.count() == 1

    def test_a_confirmation_that_waits_for_the_closing_moves_nothing(
        self, program: Program, officer: User, treasurer: User, second: User
    ) -> None:
        period = budgeting.make_period(program)
        made = propose(period, officer)
        _, racer = race(
            lambda: budgets.close_period(by=treasurer, budget_period_id=period.pk, note="It is over."),
            lambda: budgets.confirm(by=second, warrant_id=made.pk),
        )
        assert type(racer.error) is budgets.PeriodClosed
        assert totals(period)[0] == 0
