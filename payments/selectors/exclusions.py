"""Reads exclusion lists, whom they exclude in a program, and the appeals against that."""

from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from payments.models import Appeal, AppealOutcome, Enrollment, Exclusion, ExclusionList, Role
from payments.selectors import programs, scope

# Who needs to read what somebody says for themselves.
WORDS_ROLES = (Role.OFFICER, Role.APPROVER, Role.AUDITOR)


def lists(program_id: int) -> QuerySet[ExclusionList]:
    """Return the lists that hold in a program: its own, and those of the installation."""
    rows = ExclusionList.objects.filter(Q(program_id=program_id) | Q(program=None))
    return rows.select_related("created_by")


def valid() -> Q:
    """Return the condition of an entry that excludes somebody today."""
    today = timezone.now().date()
    return Q(lifted_at=None, exclusion_list__valid_from__lte=today) & (
        Q(exclusion_list__valid_to=None) | Q(exclusion_list__valid_to__gte=today)
    )


def entries_of(program: Any, identity_hash: Any) -> QuerySet[Exclusion]:
    """Return the entries that exclude one person from one program today; both may be references to an outer query."""
    rows = Exclusion.objects.filter(valid(), identity_hash=identity_hash)
    return rows.filter(Q(exclusion_list__program=None) | Q(exclusion_list__program_id=program))


def excluded(program_id: int) -> QuerySet[Any]:
    """Return a dict for each entry that excludes somebody who is enrolled in the program, never a hash."""
    enrolled = Enrollment.objects.filter(
        program_id=program_id, beneficiary__identity_hash=OuterRef("identity_hash")
    )
    open_ones = Appeal.objects.filter(exclusion_id=OuterRef("pk"), outcome=AppealOutcome.OPEN)
    rows = Exclusion.objects.filter(valid()).filter(
        Q(exclusion_list__program=None) | Q(exclusion_list__program_id=program_id)
    )
    return (
        rows.annotate(
            enrollment_id=enrolled.values("pk")[:1],
            reference=enrolled.values("reference")[:1],
            list_name=F("exclusion_list__name"),
            reason=F("exclusion_list__reason"),
            has_open_appeal=Exists(open_ones),
        )
        .filter(enrollment_id__isnull=False)
        .values(
            "id", "enrollment_id", "reference", "exclusion_list_id", "list_name", "reason", "has_open_appeal"
        )
    )


def appeals(user: Any) -> QuerySet[Appeal]:
    """Return the appeals lodged in the user's programs."""
    rows = Appeal.objects.filter(program_id__in=scope.programs(user))
    reference = Enrollment.objects.filter(
        program_id=OuterRef("program_id"), beneficiary_id=OuterRef("beneficiary_id")
    ).values("reference")
    return rows.select_related("exclusion__exclusion_list", "recorded_by", "decided_by").annotate(
        reference=reference[:1]
    )


def may_read_words(user: Any, program_id: int) -> bool:
    """Say whether the user may read what was said in a program's appeals."""
    return programs.has_role(user, program_id, *WORDS_ROLES)
