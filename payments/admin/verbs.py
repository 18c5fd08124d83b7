"""Which buttons a person may press: where the transition table, the role and the three-people rule all allow it.

The buttons only save people from refusals; the services decide.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils import timezone

from payments import states
from payments.admin import approval, scope
from payments.models import Disbursement, Payment, Role
from payments.services import approvals
from payments.states import DisbursementStatus, PaymentStatus

OFFICERS = (Role.OFFICER, Role.APPROVER, Role.RELEASER)
OPEN = (DisbursementStatus.DRAFT, DisbursementStatus.SUBMITTED, DisbursementStatus.APPROVED)


@dataclass(frozen=True)
class Verb:
    """Where a button leads, who may press it, and who may not because of what they did before."""

    new: str
    roles: tuple[str, ...]
    suits: Callable[[Disbursement, int], bool]


def _is_maker(disbursement: Disbursement, user_id: int) -> bool:
    return disbursement.made_by_id == user_id


DISBURSEMENT = {
    "submit": Verb(DisbursementStatus.SUBMITTED, (Role.OFFICER,), _is_maker),
    "approve": Verb(DisbursementStatus.APPROVED, (Role.APPROVER,), lambda d, u: not _is_maker(d, u)),
    "reject": Verb(DisbursementStatus.REJECTED, (Role.APPROVER,), lambda d, u: not _is_maker(d, u)),
    "release": Verb(
        DisbursementStatus.RELEASED,
        (Role.RELEASER,),
        lambda d, u: d.status == DisbursementStatus.APPROVED and u not in (d.made_by_id, d.approved_by_id),
    ),
    "cancel": Verb(
        DisbursementStatus.CANCELLED,
        OFFICERS,
        lambda d, u: d.status == DisbursementStatus.APPROVED or _is_maker(d, u),
    ),
}
PAYMENT = {
    "hold": (PaymentStatus.PENDING, PaymentStatus.HELD),
    "resume": (PaymentStatus.HELD, PaymentStatus.PENDING),
    "withdraw": (PaymentStatus.HELD, PaymentStatus.CANCELLED),
}


def of_disbursement(request: HttpRequest, disbursement: Disbursement) -> list[str]:
    """Return the names of the buttons for a list."""
    return [
        name
        for name, verb in DISBURSEMENT.items()
        if (
            _is_arrow("disbursement", disbursement.status, verb.new)
            or (name == "approve" and _has_expired(disbursement))
        )
        and scope.holds(request, disbursement.program_id, *verb.roles)
        and verb.suits(disbursement, request.user.pk or 0)
        and not (name == "release" and approval.is_part(request, disbursement))
    ]


def of_payment(request: HttpRequest, payment: Payment, held_by_id: int | None) -> list[str]:
    """Return the names of the buttons for a line; who held it cannot decide what becomes of it."""
    is_sent = payment.payout_id is not None or payment.sent_at is not None
    if is_sent or not scope.holds(request, payment.disbursement.program_id, *OFFICERS):
        return []
    if payment.disbursement.status not in (*OPEN, DisbursementStatus.RELEASED):
        return []
    return [
        name
        for name, (old, _) in PAYMENT.items()
        if payment.status == old and (name == "hold" or held_by_id != request.user.pk)
    ]


def _has_expired(disbursement: Disbursement) -> bool:
    """Say whether an approved list is to be approved anew."""
    is_approved = disbursement.status == DisbursementStatus.APPROVED
    return is_approved and bool(approvals.missing(disbursement, timezone.now()))


def _is_arrow(subject: str, old: str, new: str) -> bool:
    return any((arrow.old, arrow.new) == (old, new) for arrow in states.TRANSITIONS[subject])
