"""Reads entitlements of people without an address, and the messages that their links went by."""

from typing import Any

from django.db.models import Exists, F, OuterRef, QuerySet, Subquery

from payments.models import ClaimLink, Destination, Enrollment, Entitlement, Message, Role
from payments.selectors import scope


def entitlements(user: Any) -> QuerySet[Entitlement]:
    """Return the entitlements of the user's programs, each with its person's enrollment, and whether a link is out."""
    mine = scope.programs(user, Role.HELPDESK)
    return described(Entitlement.objects.filter(payment__disbursement__program_id__in=mine))


def described(rows: QuerySet[Entitlement]) -> QuerySet[Entitlement]:
    """Add program, list, reference, amount, and whether a link or an address is there, to each."""
    enrolled = Enrollment.objects.filter(
        beneficiary_id=OuterRef("payment__beneficiary_id"),
        program_id=OuterRef("payment__disbursement__program_id"),
    )
    links = ClaimLink.objects.filter(
        enrollment__beneficiary_id=OuterRef("payment__beneficiary_id"),
        enrollment__program_id=OuterRef("payment__disbursement__program_id"),
        ended_at=None,
    )
    current = Destination.objects.filter(beneficiary_id=OuterRef("payment__beneficiary_id"), is_current=True)
    return rows.select_related("payment__disbursement__program", "payment__disbursement__cycle").annotate(
        program_id=F("payment__disbursement__program_id"),
        disbursement_id=F("payment__disbursement_id"),
        enrollment_id=Subquery(enrolled.values("pk")[:1]),
        reference=Subquery(enrolled.values("reference")[:1]),
        currency=F("payment__disbursement__program__currency"),
        amount_minor=F("payment__amount_minor"),
        # Of money nothing is converted before a list pays it.
        amount_sat=F("payment__amount_sat"),
        paid_by_list_id=F("paid_by__disbursement_id"),
        has_link=Exists(links),
        has_address=Exists(current),
    )


def messages(user: Any) -> QuerySet[Message]:
    """Return the messages to people of the user's programs."""
    rows = Message.objects.filter(program_id__in=scope.programs(user))
    return rows.select_related("program", "link__enrollment")
