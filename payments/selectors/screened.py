"""What screening found against the lines of one list: by rule, line by line, and whom each shares an address with."""

from dataclasses import dataclass

from django.db.models import Count, F, Q, Sum

from payments.models import Disbursement, Enrollment, Hold, HoldRule

SHOWN = 20


@dataclass(frozen=True)
class Found:
    """How many lines a rule holds now and what they are worth, and of how many it was ended: by a person, or by itself."""

    rule: str
    open: int
    amount: int
    judged: int
    passed: int

    @property
    def label(self) -> str:
        """The rule in words."""
        return Hold(rule=self.rule).label


@dataclass(frozen=True)
class Shared:
    """A line that somebody else is or was paid at the address of; their reference in the program, if they have one."""

    hold: Hold
    reference: str
    other: Enrollment | None


def by_rule(disbursement: Disbursement) -> list[Found]:
    """Return what each rule found in a list, in one query."""
    is_open = Q(ended_at=None)
    rows = (
        Hold.objects.filter(payment__disbursement=disbursement)
        .values("rule")
        .annotate(
            open=Count("pk", filter=is_open),
            total=Sum("payment__amount", filter=is_open),
            judged=Count("pk", filter=Q(ended_by__isnull=False)),
            passed=Count("pk", filter=Q(ended_at__isnull=False, ended_by=None)),
        )
        .order_by("rule")
    )
    return [Found(row["rule"], row["open"], row["total"] or 0, row["judged"], row["passed"]) for row in rows]


def lines(disbursement: Disbursement) -> list[Hold]:
    """Return the first lines that rules hold or held, those that are held now before the others."""
    rows = Hold.objects.filter(payment__disbursement=disbursement).exclude(rule=HoldRule.DESTINATION_SHARED)
    rows = rows.select_related("payment", "placed_by", "ended_by")
    return list(rows.order_by(F("ended_at").desc(nulls_first=True), "payment_id", "pk")[:SHOWN])


def shared(disbursement: Disbursement) -> list[Shared]:
    """Return the first lines whose address or account somebody else has, too, in two queries."""
    rows = Hold.objects.filter(payment__disbursement=disbursement, rule=HoldRule.DESTINATION_SHARED)
    rows = rows.select_related("payment", "placed_by", "ended_by")
    found = list(rows.order_by(F("ended_at").desc(nulls_first=True), "payment_id", "pk")[:SHOWN])
    people = {hold.payment.beneficiary_id for hold in found} | {hold.subject_id for hold in found}
    enrolled = {
        row.beneficiary_id: row
        for row in Enrollment.objects.filter(program=disbursement.program_id, beneficiary__in=people)
    }
    return [
        Shared(
            hold,
            enrolled[hold.payment.beneficiary_id].reference
            if hold.payment.beneficiary_id in enrolled
            else "",
            enrolled.get(hold.subject_id),
        )
        for hold in found
    ]
