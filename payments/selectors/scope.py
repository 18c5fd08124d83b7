"""What somebody may know to exist: the things of the programs they belong to; all else is not found."""

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import QuerySet

from govpay.errors import Forbidden, NotFound
from payments.models import (
    Disbursement,
    Enrollment,
    ImportJob,
    Intake,
    Intervention,
    Membership,
    Payment,
    Payout,
    Program,
    SigningRequest,
)


def programs(user: Any) -> QuerySet[Any]:
    """Return the ids of the user's programs, as a subquery to filter by."""
    return Membership.objects.filter(user_id=user.pk).values("program_id")


_PATHS: dict[str, tuple[Callable[[], QuerySet[Any]], str]] = {
    "program_id": (Program.objects.all, "pk"),
    "enrollment_id": (Enrollment.objects.all, "program"),
    "intake_id": (Intake.objects.all, "program"),
    "import_job_id": (ImportJob.objects.all, "program"),
    "disbursement_id": (Disbursement.objects.all, "program"),
    "payment_id": (Payment.objects.all, "disbursement__program"),
    "signing_request_id": (SigningRequest.objects.all, "version__payout__wallet__program"),
    "payout_id": (Payout.objects.all, "wallet__program"),
    "intervention_id": (Intervention.objects.all, "wallet__program"),
}


def require(*, user: Any, **ids: int) -> None:
    """Raise NotFound unless each id (``program_id``, ``payment_id`` ...) is in one of the user's programs."""
    for name, pk in ids.items():
        rows, path = _PATHS[name]
        if not rows().filter(pk=pk, **{f"{path}__in": programs(user)}).exists():
            raise NotFound("There is no such thing in your programs.")


def knows(ids: Mapping[str, Any]) -> bool:
    """Say whether each id is of something that belongs to a program."""
    return all(name in _PATHS for name in ids)


def is_of(program: int, /, **ids: int) -> bool:
    """Say whether each id (as in ``require``) is of something in the program."""
    found = ((_PATHS[name], pk) for name, pk in ids.items())
    return all(rows().filter(pk=pk).filter(**{path: program}).exists() for (rows, path), pk in found)


def is_administrator(user: Any) -> bool:
    """Say whether the user sets up programs: they know which programs exist, and nothing of what is in them."""
    return bool(user.has_perm("payments.add_membership"))


def require_administrator(user: Any) -> None:
    """Raise Forbidden unless the user sets up programs, so that nobody else learns which user names there are."""
    if not is_administrator(user):
        raise Forbidden("Giving a role needs the permission payments.add_membership.")


def require_program(*, user: Any, program_id: int) -> None:
    """Raise NotFound unless the program is one of the user's, or exists and the user is an administrator."""
    if not (is_administrator(user) and Program.objects.filter(pk=program_id).exists()):
        require(user=user, program_id=program_id)
