"""Manual prices that count: the newest one of a source that two people stand for, with their words' MAC."""

from collections.abc import Iterable
from typing import NamedTuple

from payments.models import ManualPrice
from payments.payout import agreed

VERSION = "govpay-manual-price-1"
FORGED = "manual_price_forged"


class Given(NamedTuple):
    """A confirmed price of a source, or the fault of one that no process of ours wrote."""

    row: ManualPrice | None
    fault: str = ""


def sign(row: ManualPrice) -> None:
    """Put the MAC of what both people said into a row that is about to be confirmed."""
    row.key_id = agreed.newest_key()
    row.mac = agreed.mac_of(row.key_id, *_fields(row))


def newest(source_ids: Iterable[int]) -> dict[int, Given]:
    """Return by source the newest confirmed price that nobody withdrew."""
    rows = ManualPrice.objects.filter(
        source__in=source_ids, confirmed_at__isnull=False, withdrawn_at=None
    ).order_by("source", "-pk")
    return {
        row.source_id: Given(row)
        if agreed.is_mac(row.mac, row.key_id, *_fields(row))
        else Given(None, FORGED)
        for row in rows.distinct("source")
    }


def _fields(row: ManualPrice) -> tuple[object, ...]:
    return (
        VERSION,
        row.pk,
        row.source_id,
        f"{row.price:.8f}",
        row.given_by_id,
        agreed.moment(row.given_at),
        row.confirmed_by_id,
        agreed.moment(row.confirmed_at),
    )
