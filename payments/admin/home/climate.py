"""The node, fees and memory pool, for the first page: as they were last seen, and how they went in a day."""

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from govpay.said import said
from payments.admin import cells
from payments.admin.tables import Table
from payments.models import MempoolLook, NodeStatus
from payments.selectors import weather

# How many vB a block has, about.
BLOCK_VB = 1_000_000
MINUTE_S, HOUR_S = 60, 3_600


@dataclass(frozen=True)
class Climate:
    """Facts by their names, and the steps of the chart; each step is its time and the columns of its drawing."""

    facts: list[tuple[str, Any]]
    steps: Table
    url: str


def climate() -> Climate:
    """Return what was last seen."""
    now = weather.now()
    look = now.node
    state = cells.label("", "ok", cells.GOOD) if look.is_ok else cells.label("", "cannot be used", cells.BAD)
    facts: list[tuple[str, Any]] = [("Node", cells.join(state, look.subversion))]
    if look.block_height is not None:
        facts.append(("Newest block", cells.join(cells.number(look.block_height), _age(now.tip_at))))
    if now.mempool is not None:
        facts += _of_pool(now.mempool)
    return Climate(facts, _steps(), cells.list_of(NodeStatus))


def _of_pool(pool: MempoolLook) -> list[tuple[str, Any]]:
    blocks = f"{pool.vsize_vb / BLOCK_VB:,.1f}"
    return [
        ("Fee rate for the next 2 blocks", _feerate(pool.next_sat_kvb)),
        ("Fee rate within an hour (6 blocks)", _feerate(pool.hour_sat_kvb)),
        ("Fee rate within a day (144 blocks)", _feerate(pool.day_sat_kvb)),
        ("Least that the node takes", cells.feerate(pool.least_sat_kvb)),
        (
            "Memory pool",
            said("{0} txs, {1} vB: about {2} blocks", f"{pool.tx_count:,}", f"{pool.vsize_vb:,}", blocks),
        ),
        ("Looked at", f"{pool.at:%Y-%m-%d %H:%M} UTC"),
    ]


def _steps() -> Table:
    """Return the history as a table, which the chart is drawn from."""
    return Table(
        "Fees and memory pool of the last 24 hours",
        ("Half hour from", "Next 2 blocks", "Within an hour", "Memory pool"),
        [
            (
                f"{step.at:%m-%d %H:%M} UTC",
                _feerate(step.next_sat_kvb),
                _feerate(step.hour_sat_kvb),
                cells.figure(f"{step.vsize_vb:,} vB"),
            )
            for step in weather.history()
        ],
        "Nobody has looked at the memory pool yet; a worker does every minute.",
    )


def _feerate(sat_kvb: int | None) -> str:
    return "no estimate" if sat_kvb is None else cells.feerate(sat_kvb)


def _age(at: Any) -> str:
    """Write how long ago a block was found, coarsely: what changes every second would never let a page rest."""
    if at is None:
        return ""
    seconds = (timezone.now() - at).total_seconds()
    if seconds < 2 * MINUTE_S:
        return said("found just now")
    if seconds < 2 * HOUR_S:
        return said("found {0} minutes ago", int(seconds // MINUTE_S))
    return said("found {0} hours ago", f"{int(seconds // HOUR_S):,}")
