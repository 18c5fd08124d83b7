"""Tells what is known of the node, and of the sweep, without asking: what the engine wrote down last."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from payments.models import Block, Heartbeat, NodeStatus

# The follower looks every GOVPAY_FOLLOW_S seconds; after so many misses nobody is looking any more.
MISSES = 10
LEAST_AGE_S = 60


@dataclass(frozen=True)
class NodeLook:
    """The last look, and whether it can still be believed; ``code`` and ``message`` say what is wrong."""

    network: str
    is_ok: bool
    code: str
    message: str
    subversion: str
    block_hash: str
    block_height: int | None
    checked_at: datetime | None
    age_s: int | None


def last_look(now: datetime | None = None) -> NodeLook:
    """Return the last look at the node; a look that is old, or none, is not ok."""
    row = NodeStatus.objects.filter(network=settings.GOVPAY_NETWORK).first()
    if row is None:
        message = "No worker has looked at the node yet."
        return NodeLook(settings.GOVPAY_NETWORK, False, "not_checked", message, "", "", None, None, None)
    age_s = max(0, int(((now or timezone.now()) - row.checked_at).total_seconds()))
    is_fresh = age_s <= max(LEAST_AGE_S, MISSES * settings.GOVPAY_FOLLOW_S)
    code, message = row.code, row.message
    if row.is_ok and not is_fresh:
        since = f"{row.checked_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        code, message = "stale", f"No worker has looked at the node since {since}."
    return NodeLook(
        network=row.network,
        is_ok=row.is_ok and is_fresh,
        code=code,
        message=message,
        subversion=row.subversion,
        block_hash=row.block_hash,
        block_height=row.block_height,
        checked_at=row.checked_at,
        age_s=age_s,
    )


def tip_height() -> QuerySet[Block, int]:
    """Return the height of the highest block that was read, as a subquery."""
    return Block.objects.filter(is_active=True).order_by("-height").values_list("height", flat=True)[:1]


def is_sweep_late() -> bool:
    """Tell whether nothing has swept for lost work for a while: the scheduler or its worker is dead."""
    return Heartbeat.is_due("sweep", every_s=Heartbeat.late_s(settings.GOVPAY_SWEEP_S))
