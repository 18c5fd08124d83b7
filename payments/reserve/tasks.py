"""What came to the reserve and nobody has classed, with its age: work for treasurers, and an alarm once it is old."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Exists, Min, OuterRef, QuerySet, Sum

from ledger.models import Inflow, InflowClass
from payments.models import ClassedInflow, Institution
from payments.payout import alarms

UNCLASSED, UNKNOWN = "inflow_unclassed", "institution_unknown"
SUBJECT = "institution"
# A purchase is settled and its papers are there within so long.
LATE_S = 86_400


class Waiting(NamedTuple):
    """Outputs of an institution that nobody has classed: how many, of how much, the oldest since when."""

    scope: str
    output_count: int
    amount_sat: int
    oldest_at: datetime


def unclassed() -> QuerySet[Any]:
    """Return the outputs that nobody has classed, whether or not somebody has proposed it, oldest first."""
    classes = InflowClass.objects.filter(txid=OuterRef("txid"), vout=OuterRef("vout"))
    rows: QuerySet[Any] = Inflow.objects.standing()
    return rows.filter(~Exists(classes)).order_by("pk")


def waiting() -> list[Waiting]:
    """Return what is not classed by institution, with one statement."""
    rows = (
        unclassed()
        .order_by()
        .values("scope")
        .annotate(count=Count("pk"), sat=Sum("amount_sat"), oldest=Min("scan__scanned_at"))
        .order_by("scope")
    )
    return [Waiting(row["scope"], row["count"], int(row["sat"]), row["oldest"]) for row in rows]


def proposed() -> QuerySet[ClassedInflow]:
    """Return the outputs in classings that wait for a second person."""
    return ClassedInflow.objects.filter(is_open=True)


def tell(now: datetime) -> None:
    """Open and close the alarms about outputs that have not been classed for a day, and whose law nobody has named."""
    by_scope = dict(Institution.objects.values_list("scope", "pk"))
    late = [each for each in waiting() if each.oldest_at < now - timedelta(seconds=LATE_S)]
    told, strangers = [], []
    for each in late:
        days = (now - each.oldest_at).days
        text = (
            f"{each.output_count} outputs of {each.scope}, {each.amount_sat} sat, are not classed, for {days} days the"
            " oldest."
        )
        if each.scope in by_scope:
            alarms.sound(UNCLASSED, subject=SUBJECT, subject_id=by_scope[each.scope], message=text)
            told.append(by_scope[each.scope])
        else:
            strangers.append(text)
    alarms.clear_others(UNCLASSED, subject=SUBJECT, subject_ids=told, note="All outputs are classed.")
    if strangers:
        alarms.sound(UNKNOWN, subject="reserve", message=" ".join(strangers))
    else:
        alarms.clear(UNKNOWN, subject="reserve", note="Nothing waits for an institution to be named.")
