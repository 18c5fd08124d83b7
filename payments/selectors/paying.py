"""How far the payments of one list have come, counted without reading those that are in a payout."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, CharField, Count, F, Q, QuerySet, Sum, Value, When
from django.db.models import TextChoices as Choices

from payments.models import Disbursement, Payment, Payout, Rail
from payments.states import PaymentStatus, PayoutStatus


class Stage(Choices):
    """Where a payment of a list stands, the best first."""

    SETTLED = "settled", "Settled"
    MINED = "mined", "Seen in a block"
    SENT = "sent", "Sent"
    SEALED = "sealed", "In a payout, not sent yet"
    PENDING = "pending", "Waiting"
    HELD = "held", "Held"
    FROZEN = "frozen", "Frozen: a person must judge"
    VOIDING = "voiding", "Given up, not void yet"
    VOIDED = "voided", "Void"
    CANCELLED = "cancelled", "Withdrawn"


S = PayoutStatus
# Of what the list does not pay any more.
OUT = (Stage.CANCELLED, Stage.VOIDED)
STAGES = {
    S.SEALED: Stage.SEALED,
    S.COMMITTED: Stage.SEALED,
    S.SIGNED: Stage.SEALED,
    S.SENT: Stage.SENT,
    S.MINED: Stage.MINED,
    S.SETTLED: Stage.SETTLED,
    S.FROZEN: Stage.FROZEN,
    S.VOIDING: Stage.VOIDING,
    S.VOIDED: Stage.VOIDED,
}


@dataclass
class Tally:
    """So many payments are at a stage, and what they are worth in the program's own unit."""

    stage: Stage
    count: int = 0
    amount: int = 0


@dataclass(frozen=True)
class Paying:
    """A list's payments by stage; those at which there are none are left out."""

    tallies: list[Tally]

    @property
    def payable(self) -> int:
        """How many payments are to arrive."""
        return sum(tally.count for tally in self.tallies if tally.stage not in OUT)

    @property
    def settled(self) -> int:
        """How many of them have."""
        return sum(tally.count for tally in self.tallies if tally.stage == Stage.SETTLED)

    @property
    def percent(self) -> int:
        """How many of a hundred have, rounded down, so that 100 means all."""
        return self.settled * 100 // self.payable if self.payable else 100


def of_list(disbursement: Disbursement) -> Paying:
    """Count a list's payments by stage: three queries, however many there are; one of a list on another rail."""
    found = {stage: Tally(stage) for stage in Stage}
    if disbursement.rail == Rail.BITCOIN:
        _count_bitcoin(disbursement, found)
    else:
        _count_others(disbursement, found)
    return Paying([tally for tally in found.values() if tally.count])


def _count_bitcoin(disbursement: Disbursement, found: dict[Stage, Tally]) -> None:
    amount = F("payments_sat") if disbursement.program.pays_sat else F("payments_minor")
    groups = Payout.objects.filter(disbursement=disbursement).exclude(status=S.UNSEALED)
    for row in groups.values("status").annotate(count=Sum("payment_count"), total=Sum(amount)):
        _add(found[STAGES[row["status"]]], row)
    lines = Payment.objects.filter(disbursement=disbursement)
    # Each is in a partial index, and empties while the list is paid.
    unsealed = lines.filter(payout=None, sent_at=None, status=PaymentStatus.PENDING)
    _add(found[Stage.PENDING], _totals(unsealed))
    _add(found[Stage.CANCELLED], _totals(lines.filter(status=PaymentStatus.CANCELLED)))
    # Whatever is none of these is held: no index is of those alone.
    rest = found[Stage.HELD]
    rest.count = disbursement.payment_count - sum(tally.count for tally in found.values())
    rest.amount = disbursement.total - sum(tally.amount for tally in found.values())


def _count_others(disbursement: Disbursement, found: dict[Stage, Tally]) -> None:
    is_on_its_way = Q(status=PaymentStatus.PENDING, sent_at__isnull=False)
    stage = Case(
        When(is_on_its_way & Q(settled_at__isnull=False), then=Value(Stage.SETTLED)),
        When(is_on_its_way, then=Value(Stage.SENT)),
        default=F("status"),
        output_field=CharField(),
    )
    lines = Payment.objects.filter(disbursement=disbursement).annotate(stage=stage).values("stage")
    for row in lines.annotate(count=Count("pk"), total=Sum("amount")):
        _add(found[Stage(row["stage"])], row)


def _totals(rows: QuerySet[Payment]) -> dict[str, Any]:
    return rows.aggregate(count=Count("pk"), total=Sum("amount"))


def _add(tally: Tally, row: dict[str, Any]) -> None:
    tally.count += row["count"] or 0
    tally.amount += row["total"] or 0
