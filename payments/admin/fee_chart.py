"""The fee rates of a payout's versions over time, beside what the node expected then and what other payouts were built at.

What the node expects is looked at each minute and kept for two days; a payout is built at it, inside the program's bounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from govpay.said import said
from payments.admin import cells
from payments.models import Block, MempoolLook, Payout, PayoutTx, PayoutTxKind

# Of others no more than are read with one look, and none from long before.
OTHERS, BEFORE = 40, timedelta(hours=6)
# Of the node's looks each is shown of so short a time, and of a longer one the first of each hour.
EACH_LOOK = timedelta(hours=2)


@dataclass(frozen=True)
class Chart:
    """What the chart is drawn of, as the script reads it, and the same in rows."""

    data: dict[str, Any]
    rows: list[tuple[str, str, str]]


def of_payout(payout: Payout, versions: Sequence[PayoutTx]) -> Chart | None:
    """Return the chart of a payout with these versions, the oldest first, in three queries; None with nothing to compare."""
    if not versions:
        return None
    end = max(_mined_at(payout) or timezone.now(), versions[-1].built_at)
    expected = _expected(versions[0].built_at, end)
    others = list(
        PayoutTx.objects.filter(
            payout__wallet=payout.wallet_id,
            kind=PayoutTxKind.ORIGINAL,
            built_at__range=(versions[0].built_at - BEFORE, end),
        )
        .exclude(payout=payout)
        .order_by("-built_at")
        .values_list("built_at", "feerate_sat_kvb")[:OTHERS]
    )
    if len(versions) == 1 and not others and not expected:
        return None
    mine = [(version.built_at, version.feerate_sat_kvb) for version in versions]
    data = {
        "labels": {
            "versions": said("This payout"),
            "expected": said("What the node expected for an hour"),
            "others": said("Other payouts, as they were built"),
        },
        # The last rate counts until a block holds it, or until now.
        "versions": [*(_point(*each) for each in mine), _point(end, mine[-1][1])],
        "expected": [_point(*each) for each in expected],
        "others": [_point(*each) for each in reversed(others)],
    }
    shown = [
        *((at, f"Version {number} of this payout", rate) for number, (at, rate) in enumerate(mine, start=1)),
        *((at, "The node's estimate for an hour", rate) for at, rate in expected),
        *((at, "Another payout", rate) for at, rate in others),
    ]
    rows = [
        (cells.moment(at), what, cells.feerate(rate))
        for at, what, rate in sorted(shown, key=lambda row: row[0])
    ]
    return Chart(data, rows)


def _expected(begin: datetime, end: datetime) -> list[tuple[datetime, int]]:
    """What the node expected to be enough within an hour, at some moments from begin to end."""
    apart = "%Y-%m-%d %H:%M" if end - begin <= EACH_LOOK else "%Y-%m-%d %H"
    looks = MempoolLook.objects.filter(at__range=(begin, end)).order_by("at")
    firsts: dict[str, tuple[datetime, int]] = {}
    # Two days have a look a minute, and so some thousands.
    for at, rate in looks.values_list("at", "hour_sat_kvb"):
        if rate is not None:
            firsts.setdefault(at.strftime(apart), (at, rate))
    return list(firsts.values())


def _point(at: datetime, feerate_sat_kvb: int) -> dict[str, Any]:
    """The time in milliseconds, as scripts count it, and the rate in sat/vB; both are for the eye alone."""
    return {"x": int(at.timestamp() * 1_000), "y": feerate_sat_kvb / 1_000}


def _mined_at(payout: Payout) -> datetime | None:
    if payout.mined_block_hash is None:
        return None
    return Block.objects.filter(block_hash=payout.mined_block_hash).values_list("read_at", flat=True).first()
