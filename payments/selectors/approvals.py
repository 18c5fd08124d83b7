"""Reads what people said of lists, and the rules of approval of programs."""

from typing import Any

from django.db.models import QuerySet

from payments.models import Approval, ApprovalPolicy


def of_list(disbursement_id: int) -> QuerySet[Approval, Any]:
    """Return what was said of a list."""
    return Approval.objects.filter(disbursement_id=disbursement_id).select_related("user")


def policies() -> QuerySet[ApprovalPolicy, Any]:
    """Return versions of rules with all that is in them."""
    rows = ApprovalPolicy.objects.select_related("program", "proposed_by", "confirmed_by", "dropped_by")
    return rows.prefetch_related("members__user", "needs", "caps")
