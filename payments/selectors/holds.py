"""Reads why lines wait, and the changes of address that wait for a second person."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from payments.models import ChangeOutcome, DestinationChange, Enrollment, Hold, Membership, Role
from payments.selectors import scope

_DECIDERS = (Role.OFFICER, Role.APPROVER)


def holds(user: Any) -> QuerySet[Hold]:
    """Return the holds on payments of the user's programs."""
    rows = Hold.objects.filter(payment__disbursement__program_id__in=scope.programs(user))
    return rows.select_related("placed_by", "ended_by")


def changes(user: Any) -> QuerySet[DestinationChange]:
    """Return the changes of address proposed in the user's programs, each with the person's reference."""
    enrolled = Enrollment.objects.filter(
        program_id=OuterRef("program_id"), beneficiary_id=OuterRef("beneficiary_id")
    )
    decides = Membership.objects.filter(
        user_id=user.pk, program_id=OuterRef("program_id"), role__in=_DECIDERS
    )
    rows = DestinationChange.objects.filter(program_id__in=scope.programs(user))
    return rows.select_related("proposed_by", "decided_by").annotate(
        reference=enrolled.values("reference")[:1],
        enrollment_id=enrolled.values("pk")[:1],
        is_decider=Exists(decides),
    )


def waits_for(change: Any, user: Any) -> bool:
    """Say whether the user may decide a change that ``changes`` has returned."""
    return change.outcome == ChangeOutcome.OPEN and change.is_decider and change.proposed_by_id != user.pk
