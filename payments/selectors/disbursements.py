"""Reads lists and how far they are; everything is counted in the database."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet, Sum

from payments.models import Disbursement, Payment, Payout, Role, StatusChange
from payments.selectors import scope
from payments.states import PaymentStatus


@dataclass(frozen=True)
class Tally:
    """How many rows are in a status and what they are worth, in minor units of a program of money, and in satoshis."""

    status: str
    count: int
    amount_minor: int | None
    amount_sat: int | None


@dataclass(frozen=True)
class Progress:
    """How far a list is: its lines, those not yet in a payout, and its payouts."""

    payments: list[Tally]
    payouts: list[Tally]
    unsealed_count: int


def visible(user: Any) -> QuerySet[Disbursement]:
    """Return the lists of the user's programs, with everybody who did something."""
    rows = Disbursement.objects.filter(program_id__in=scope.programs(user, Role.HELPDESK))
    return rows.select_related("program", "cycle", "made_by", "approved_by", "released_by")


def stood_in_for(disbursement_id: int) -> list[tuple[int, int]]:
    """Return the lists whose voided payments this list pays anew, each with how many."""
    rows = Payment.objects.filter(disbursement=disbursement_id, reissue_of__isnull=False)
    counted = rows.values("reissue_of__disbursement_id").annotate(count=Count("pk"))
    return list(
        counted.order_by("reissue_of__disbursement_id").values_list("reissue_of__disbursement_id", "count")
    )


def standing_in(payout_id: int) -> list[tuple[int, int]]:
    """Return the lists that pay a voided payout's payments anew, each with how many."""
    rows = Payment.objects.filter(reissue_of__payout=payout_id).exclude(status=PaymentStatus.CANCELLED)
    counted = rows.values("disbursement_id").annotate(count=Count("pk"))
    return list(counted.order_by("disbursement_id").values_list("disbursement_id", "count"))


def get(user: Any, disbursement_id: int) -> Disbursement:
    """Return one list; raise Disbursement.DoesNotExist."""
    return visible(user).get(pk=disbursement_id)


def progress(disbursement_id: int) -> Progress:
    """Count a list's payments and payouts by status, in two queries."""
    lines = Payment.objects.filter(disbursement_id=disbursement_id).values("status").order_by("status")
    counted = list(
        lines.annotate(
            count=Count("id"),
            minor=Sum("amount_minor"),
            sat=Sum("amount_sat"),
            sealed=Count("payout_id"),
            sent=Count("sent_at"),
        )
    )
    groups = Payout.objects.filter(disbursement_id=disbursement_id).values("status").order_by("status")
    sealed = groups.annotate(count=Count("id"), minor=Sum("payments_minor"), sat=Sum("payments_sat"))
    return Progress(
        payments=[Tally(row["status"], row["count"], row["minor"], row["sat"]) for row in counted],
        payouts=[Tally(row["status"], row["count"], row["minor"], row["sat"]) for row in sealed],
        unsealed_count=sum(
            row["count"] - row["sealed"] - row["sent"] for row in counted if row["status"] == "pending"
        ),
    )


def history(subject: str, subject_id: int) -> QuerySet[StatusChange]:
    """Return each change of status of a disbursement, payment or payout."""
    rows = StatusChange.objects.filter(subject=subject, subject_id=subject_id)
    return rows.select_related("actor")
