"""Reads grievances: all who read the program see that there are some; what people wrote, those who answer and examine."""

from collections.abc import Mapping
from typing import Any

from django.db.models import BooleanField, Case, QuerySet, Value, When
from django.db.models.functions import Now

from payments.models import Grievance, Membership, Role
from payments.selectors import scope
from payments.services import grievances
from payments.states import GRIEVANCE_OPEN

# Whoever answers must read it, and whoever examines; a person writes what concerns nobody else.
READERS = (*grievances.HANDLERS, Role.AUDITOR)


def visible(user: Any) -> QuerySet[Grievance]:
    """Return the grievances of the user's programs; ``is_overdue_now`` marks those that should have been answered."""
    rows = Grievance.objects.filter(program_id__in=scope.programs(user, Role.HELPDESK))
    return rows.select_related("program", "enrollment", "payment__payout", "owner", "lodged_by").annotate(
        is_overdue_now=Case(
            When(status__in=GRIEVANCE_OPEN, due_at__lte=Now(), then=Value(True)),
            default=False,
            output_field=BooleanField(),
        )
    )


def readable(user: Any) -> set[int]:
    """Return the programs of whose grievances the user reads the words."""
    held = Membership.objects.filter(user_id=user.pk, role__in=READERS)
    return set(held.values_list("program_id", flat=True))


def words(row: Grievance, programs: set[int]) -> Mapping[str, str | None]:
    """Return what was written of a grievance, or nothing where the reader's work does not need it."""
    if row.program_id not in programs:
        return {"text": None, "contact": None, "answer": None}
    return {
        "text": row.said["text"],
        "contact": row.said["contact"],
        "answer": None if row.answer is None else row.answer["text"],
    }
