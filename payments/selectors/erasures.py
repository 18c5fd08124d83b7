"""Reads erasures, and what people of a program agreed to."""

from typing import Any

from django.db.models import OuterRef, QuerySet

from payments.models import Consent, ConsentText, Enrollment, Erasure
from payments.selectors import scope


def erasures(user: Any) -> QuerySet[Any]:
    """Return the erasures asked for in the user's programs, each with the person's reference while they are enrolled."""
    enrolled = Enrollment.objects.filter(
        program_id=OuterRef("program_id"), beneficiary_id=OuterRef("beneficiary_id")
    )
    rows = Erasure.objects.filter(program_id__in=scope.programs(user))
    return rows.select_related("asked_by", "decided_by").annotate(reference=enrolled.values("reference")[:1])


def texts(user: Any) -> QuerySet[ConsentText]:
    """Return the texts of the user's programs."""
    return ConsentText.objects.filter(program_id__in=scope.programs(user)).select_related("created_by")


def consents(user: Any) -> QuerySet[Consent]:
    """Return what people of the user's programs said."""
    rows = Consent.objects.filter(program_id__in=scope.programs(user))
    return rows.select_related("text", "recorded_by")
