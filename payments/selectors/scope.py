"""What somebody may know to exist: the things of the programs they belong to; all else is not found."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from govpay.errors import Forbidden, NotFound
from payments.models import (
    AddressProof,
    Appeal,
    ApprovalPolicy,
    BankAccount,
    BankFile,
    BudgetPeriod,
    DestinationChange,
    Disbursement,
    Enrollment,
    Erasure,
    ExclusionList,
    Grievance,
    ImportJob,
    Intake,
    Intervention,
    Membership,
    Payment,
    Payout,
    Program,
    Proposal,
    Role,
    SigningRequest,
    Voucher,
    Warrant,
    Webhook,
)
from payments.models.program import LIMITED
from payments.services import policies


def programs(user: Any, *also: str) -> QuerySet[Any]:
    """Return the ids of the programs that the user reads, as a subquery to filter by.

    Help desk and security administrators read what is open to them ``also``, and nothing else.
    """
    return Membership.objects.reading(user, *also).values("program_id")


_PATHS: dict[str, tuple[Callable[[], QuerySet[Any]], str]] = {
    "program_id": (Program.objects.all, "pk"),
    "enrollment_id": (Enrollment.objects.all, "program"),
    "address_proof_id": (AddressProof.objects.all, "program"),
    "erasure_id": (Erasure.objects.all, "program"),
    "change_id": (DestinationChange.objects.all, "program"),
    "exclusion_list_id": (ExclusionList.objects.all, "program"),
    "appeal_id": (Appeal.objects.all, "program"),
    "intake_id": (Intake.objects.all, "program"),
    "import_job_id": (ImportJob.objects.all, "program"),
    "disbursement_id": (Disbursement.objects.all, "program"),
    "payment_id": (Payment.objects.all, "disbursement__program"),
    "signing_request_id": (SigningRequest.objects.all, "version__payout__wallet__program"),
    "payout_id": (Payout.objects.all, "wallet__program"),
    "policy_id": (ApprovalPolicy.objects.all, "program"),
    "budget_period_id": (BudgetPeriod.objects.all, "program"),
    "warrant_id": (Warrant.objects.all, "period__program"),
    "intervention_id": (Intervention.objects.all, "wallet__program"),
    "proposal_id": (Proposal.objects.all, "program"),
    "grievance_id": (Grievance.objects.all, "program"),
    "webhook_id": (Webhook.objects.all, "program"),
    "bank_account_id": (BankAccount.objects.all, "beneficiary__enrollments__program"),
    "bank_file_id": (BankFile.objects.all, "program"),
    "voucher_id": (Voucher.objects.all, "program"),
}


def require(*, user: Any, also: tuple[str, ...] = (), **ids: int) -> None:
    """Raise NotFound unless each id (``program_id``, ``payment_id`` ...) is in a program that the user reads."""
    blind = sorted(set(LIMITED) - set(also))
    for name, pk in ids.items():
        with connection.cursor() as cursor:
            cursor.execute(_readable(name), [pk, user.pk, blind])
            found: Any = cursor.fetchone()
        if not found[0]:
            raise NotFound("There is no such thing in your programs.")


@cache
def _readable(name: str) -> str:
    """Return the statement that says whether an id is in a program that a user reads with a role that is not blind to it.

    Every request asks it, and the ORM would take longer to put it together each time than PostgreSQL to answer it.
    """
    rows, path = _PATHS[name]
    programs_of, _ = rows().filter(pk=0).order_by().values_list(path).query.sql_with_params()
    return f"""
        SELECT EXISTS (
            SELECT FROM ({programs_of}) AS found (program_id) JOIN payments_membership m USING (program_id)
            WHERE m.user_id = %s AND m.role <> ALL (%s::text[])
        )
        """  # noqa: S608 - a query of this file.


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
    """Raise NotFound unless the user has any role in the program, or it exists and the user is an administrator."""
    try:
        require(user=user, also=LIMITED, program_id=program_id)
    except NotFound:
        if not (is_administrator(user) and Program.objects.filter(pk=program_id).exists()):
            raise


def require_person(*, user: Any, **ids: int) -> None:
    """Raise NotFound unless each id is in a program that the user reads, or where they are the help desk."""
    require(user=user, also=(Role.HELPDESK,), **ids)


def require_agent(*, user: Any, **ids: int) -> None:
    """Raise NotFound unless each id is in a program that the user reads, or whose paying agent they are."""
    require(user=user, also=(Role.AGENT,), **ids)


def require_authority(*, user: Any, **ids: int) -> None:
    """Raise NotFound unless each id is in a program that the user reads, or whose security administrator they are."""
    require(user=user, also=(Role.SECURITY,), **ids)


def require_rules(*, user: Any, **ids: int) -> None:
    """Raise NotFound unless what is named exists and is of the user's programs, or the user may make rules of approval."""
    if user.has_perm(policies.RIGHT):
        ((name, pk),) = ids.items()
        rows, _ = _PATHS[name]
        if rows().filter(pk=pk).exists():
            return
    require(user=user, also=(), **ids)
