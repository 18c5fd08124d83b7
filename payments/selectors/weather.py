"""Fees, memory pool and tip as they were last seen, and how they went lately; no page asks the node."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from payments.models import Block, MempoolLook
from payments.selectors import node
from payments.selectors.node import NodeLook

# How far back the history goes, and how long each of its steps is.
SPAN = timedelta(hours=24)
STEP = timedelta(minutes=30)
# Each step is what was seen last in it.
HISTORY = """
SELECT DISTINCT ON (step) date_bin(%(step)s::text::interval, at, 'epoch') AS step, tx_count, vsize_vb,
    next_sat_kvb, hour_sat_kvb
FROM payments_mempoollook WHERE at > %(since)s::timestamptz ORDER BY step, at DESC
"""


@dataclass(frozen=True)
class Step:
    """What was seen last in half an hour that began ``at``; feerates are None where the node had no estimate."""

    at: datetime
    tx_count: int
    vsize_vb: int
    next_sat_kvb: int | None
    hour_sat_kvb: int | None


@dataclass(frozen=True)
class Weather:
    """The last look at the node and at its memory pool, and when the newest block was found (by its own clock)."""

    node: NodeLook
    tip_at: datetime | None
    mempool: MempoolLook | None


def now() -> Weather:
    """Return what was seen last."""
    look = node.last_look()
    tip_at = Block.objects.filter(block_hash=look.block_hash).values_list("time", flat=True).first()
    return Weather(look, tip_at, MempoolLook.objects.order_by("-at").first())


def history() -> list[Step]:
    """Return the steps of the last day, the oldest first; those in which nobody looked are not there."""
    with connection.cursor() as cursor:
        cursor.execute(HISTORY, {"step": f"{STEP.total_seconds()} s", "since": timezone.now() - SPAN})
        return [Step(*row) for row in cursor.fetchall()]
