"""Reads challenges and what answered them."""

from typing import Any

from django.db.models import OuterRef, QuerySet

from payments.models import AddressProof, Enrollment
from payments.selectors import scope


def proofs(user: Any) -> QuerySet[Any]:
    """Return the challenges of the user's programs, each with the person's reference while they are enrolled."""
    enrolled = Enrollment.objects.filter(
        program_id=OuterRef("program_id"), beneficiary_id=OuterRef("beneficiary_id")
    )
    rows = AddressProof.objects.filter(program_id__in=scope.programs(user))
    return rows.select_related("asked_by", "recorded_by").annotate(
        reference=enrolled.values("reference")[:1], enrollment_id=enrolled.values("pk")[:1]
    )
