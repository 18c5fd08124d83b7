"""A program that is held to a budget: its periods, opened and filled by the people who may."""

from datetime import date, timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from payments.models import BudgetPeriod, Membership, Program
from payments.services import budgets
from tests import factories


def make_period(
    program: Program,
    *,
    allotted_sat: int = 0,
    cash_sat: int = 0,
    name: str = "2026-27",
    first_date: date | None = None,
    last_date: date | None = None,
) -> BudgetPeriod:
    """An open period around today, with so much allotted and released as cash by two people."""
    officer, treasurer = member(program, "officer"), member(program, "treasurer")
    today = timezone.now().date()
    period = budgets.open_period(
        by=treasurer,
        program_id=program.pk,
        name=name,
        first_date=first_date or today - timedelta(days=100),
        last_date=last_date or today + timedelta(days=100),
    )
    for kind, amount_sat in (("allotment", allotted_sat), ("cash_release", cash_sat)):
        if amount_sat:
            warrant(period, kind, amount_sat, officer=officer, treasurer=treasurer)
    return BudgetPeriod.objects.get(pk=period.pk)


def warrant(period: BudgetPeriod, kind: str, amount_sat: int, *, officer: User, treasurer: User) -> None:
    """Propose as one and confirm as the other."""
    made = budgets.propose(
        by=officer, budget_period_id=period.pk, kind=kind, amount_sat=amount_sat, note="By the budget."
    )
    budgets.confirm(by=treasurer, warrant_id=made.pk)


def member(program: Program, role: str) -> User:
    """Whoever holds the role first, or somebody new."""
    found = (
        Membership.objects.filter(program=program, role=role).select_related("user").order_by("pk").first()
    )
    return found.user if found else factories.make_member(program, role)


def totals(period: BudgetPeriod) -> tuple[int, int, int, int]:
    """Return what is allotted, released as cash, committed and spent, once the lists add up to the last two."""
    period.refresh_from_db()
    held = period.commitments.values_list("committed_sat", "spent_sat")
    assert sum(committed for committed, _ in held) == period.committed_sat
    assert sum(spent for _, spent in held) == period.spent_sat
    return period.allotted_sat, period.cash_released_sat, period.committed_sat, period.spent_sat
