"""What happened in a program, by number."""

from typing import Any

from django.db.models import F, QuerySet, Value
from django.db.models.functions import Concat

from payments.models import Event


def of_program(program_id: int) -> QuerySet[Any]:
    """Return the numbered events of a program: what changed its status, and from which to which; nothing a person wrote."""
    rows = Event.objects.filter(program_id=program_id, number__isnull=False)
    return rows.values(
        "number",
        type=Concat(F("change__subject"), Value("."), F("change__new")),
        subject=F("change__subject"),
        subject_id=F("change__subject_id"),
        old=F("change__old"),
        new=F("change__new"),
        at=F("change__at"),
    )
