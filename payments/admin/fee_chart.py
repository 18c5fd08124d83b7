"""The fee rates of a payout's versions over time, beside those at which the engine built other payouts meanwhile.

No estimate of the node's is kept; a payout is built at what the node estimated then, inside the program's bounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from payments.admin import cells
from payments.models import Block, Payout, PayoutTx, PayoutTxKind

# Of others no more than are read with one look, and none from long before.
OTHERS, BEFORE = 40, timedelta(hours=6)


@dataclass(frozen=True)
class Chart:
    """What the chart is drawn of, as the script reads it, and the same in rows."""

    data: dict[str, Any]
    rows: list[tuple[str, str, str]]


def of_payout(payout: Payout, versions: Sequence[PayoutTx]) -> Chart | None:
    """Return the chart of a payout with these versions, the oldest first, in two queries; None with nothing to compare."""
    if not versions:
        return None
    end = _mined_at(payout) or timezone.now()
    others = list(
        PayoutTx.objects.filter(
            payout__wallet=payout.wallet_id,
            kind=PayoutTxKind.ORIGINAL,
            built_at__range=(versions[0].built_at - BEFORE, max(end, versions[-1].built_at)),
        )
        .exclude(payout=payout)
        .order_by("-built_at")
        .values_list("built_at", "feerate_sat_kvb")[:OTHERS]
    )
    if len(versions) == 1 and not others:
        return None
    mine = [(version.built_at, version.feerate_sat_kvb) for version in versions]
    data = {
        # The last rate counts until a block holds it, or until now.
        "versions": [*(_point(*each) for each in mine), _point(max(end, mine[-1][0]), mine[-1][1])],
        "others": [_point(*each) for each in reversed(others)],
    }
    shown = [
        *((at, f"Version {number} of this payout", rate) for number, (at, rate) in enumerate(mine, start=1)),
        *((at, "Another payout", rate) for at, rate in others),
    ]
    rows = [
        (cells.moment(at), what, cells.feerate(rate))
        for at, what, rate in sorted(shown, key=lambda row: row[0])
    ]
    return Chart(data, rows)


def _point(at: datetime, feerate_sat_kvb: int) -> dict[str, Any]:
    """The time in milliseconds, as scripts count it, and the rate in sat/vB; both are for the eye alone."""
    return {"x": int(at.timestamp() * 1_000), "y": feerate_sat_kvb / 1_000}


def _mined_at(payout: Payout) -> datetime | None:
    if payout.mined_block_hash is None:
        return None
    return Block.objects.filter(block_hash=payout.mined_block_hash).values_list("read_at", flat=True).first()
