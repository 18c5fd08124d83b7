"""Reads the budgets of the user's programs."""

from datetime import date
from typing import Any

from django.db.models import F, QuerySet

from payments.models import BudgetPeriod, Commitment, Disbursement, Warrant
from payments.selectors import scope


def periods(user: Any) -> QuerySet[BudgetPeriod]:
    """Return the budget periods of the user's programs."""
    mine = BudgetPeriod.objects.filter(program_id__in=scope.programs(user))
    return mine.select_related("program", "opened_by", "closed_by")


def warrants(user: Any) -> QuerySet[Warrant]:
    """Return the warrants of the user's programs."""
    mine = Warrant.objects.filter(period__program_id__in=scope.programs(user))
    return mine.select_related("period__program", "proposed_by", "decided_by").annotate(
        program_id=F("period__program_id"), budget_period_id=F("period_id")
    )


def commitments(period_id: int) -> QuerySet[Commitment]:
    """Return what lists hold of a period, with the status of each list."""
    held = Commitment.objects.filter(period_id=period_id)
    return held.select_related("period__program").annotate(list_status=F("disbursement__status"))


def of_list(disbursement: Disbursement, day: date) -> BudgetPeriod | None:
    """Return the period that the list is committed in, or would be on the day (UTC); None where none covers it."""
    covering = BudgetPeriod.objects.filter(program_id=disbursement.program_id)
    held = covering.filter(commitments__disbursement=disbursement).first()
    return held or covering.filter(closed_at=None, first_date__lte=day, last_date__gte=day).first()
