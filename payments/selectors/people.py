"""Reads the registry of a program: who is enrolled, and where they are paid."""

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery, Value

from payments.models import Destination, Enrollment, Intake, IntakeError, Role
from payments.selectors import programs, scope

# Who needs to know a person's name: those who enroll, and those who examine. Others decide on references.
PERSONAL_ROLES = (Role.OFFICER, Role.AUDITOR)
_COLUMNS = ("id", "program_id", "beneficiary_id", "reference", "created_at", "script_pubkey")


def enrollments(user: Any, program_id: int) -> QuerySet[Any]:
    """Return a dict for each enrollment of the program, ``personal`` only for PERSONAL_ROLES (else it is not read).

    The help desk has it too, to be shown masked: ``is_masked``.
    """
    mine = scope.programs(user, Role.HELPDESK)
    rows = Enrollment.objects.filter(program_id=program_id, program_id__in=mine)
    is_whole = programs.has_role(user, program_id, *PERSONAL_ROLES)
    is_masked = not is_whole and programs.has_role(user, program_id, Role.HELPDESK)
    personal = ["beneficiary__personal"] if is_whole or is_masked else []
    return _with_script(rows).annotate(is_masked=Value(is_masked)).values(*_COLUMNS, "is_masked", *personal)


def enrollment(user: Any, enrollment_id: int) -> dict[str, Any]:
    """Return one enrollment as `enrollments` does; raise Enrollment.DoesNotExist."""
    program_id = Enrollment.objects.values_list("program_id", flat=True).get(pk=enrollment_id)
    row: dict[str, Any] = enrollments(user, program_id).get(pk=enrollment_id)
    return row


def intakes(user: Any) -> QuerySet[Intake]:
    """Return the files that came in, with who brought them and the list they made."""
    rows = Intake.objects.filter(program_id__in=scope.programs(user))
    return rows.select_related("created_by", "disbursement")


def intake_errors(intake_id: int) -> QuerySet[Any]:
    """Return a dict for each broken rule of a file, in the file's order."""
    rows = IntakeError.objects.filter(intake_id=intake_id).order_by("id")
    return rows.values("id", "row", "column", "code", "message")


def masked(name: str) -> str:
    """Return a name of which only the initials can be read."""
    return " ".join(word[0] + "•" * min(len(word) - 1, 5) for word in name.split()[:4])


def _with_script(rows: QuerySet[Enrollment]) -> QuerySet[Any]:
    current = Destination.objects.filter(beneficiary_id=OuterRef("beneficiary_id"), is_current=True)
    return rows.annotate(script_pubkey=Subquery(current.values("script_pubkey")[:1]))
