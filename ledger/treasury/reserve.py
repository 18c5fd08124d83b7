"""Records what the public sector's addresses held at a block, and compares it with the scan before (R-27, R-28)."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import QuerySet

from ledger import audit
from ledger.models import Badge, ReserveBalance, ReserveCoin, ReserveScan, ReserveScanLoss

# One recorder at a time, so that each scan is compared with the one before.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('reserve', 0))"
BATCH = 5_000
# Each output of a scan that no scan which stands has seen before: of this one statement, however many there are.
INFLOWS = """
INSERT INTO ledger_inflow (scan_id, scope, holding_number, address, txid, vout, amount_sat, height)
SELECT c.scan_id, b.scope, b.holding_number, c.address, c.txid, c.vout, c.amount_sat, c.height
FROM ledger_reservecoin c
JOIN ledger_reservebalance b ON b.scan_id = c.scan_id AND b.address = c.address AND b.badge = 'verified'
WHERE c.scan_id = %s AND NOT EXISTS (
    SELECT FROM ledger_inflow i WHERE i.txid = c.txid AND i.vout = c.vout
        AND NOT EXISTS (SELECT FROM ledger_reservescanloss l WHERE l.scan_id = i.scan_id)
)
ORDER BY c.id
"""


class Line(NamedTuple):
    """An address to record: whose, how it is known, the most that it should hold, and of a declared one what was stated."""

    scope: str
    holding: str
    holding_number: int
    network: str
    address: str
    badge: str
    cap_sat: int
    stated_sat: int = 0


class Unspent(NamedTuple):
    """An unspent output of a verified address; ``height`` is its block's."""

    address: str
    txid: str
    vout: int
    amount_sat: int
    height: int


class Marks(NamedTuple):
    """What is known of an address: something of it was spent, and it received since."""

    is_spent: bool = False
    is_reused: bool = False


def standing() -> QuerySet[ReserveScan]:
    """Return the scans whose block is not known to have left the active chain, newest first."""
    return ReserveScan.objects.filter(loss=None).order_by("-pk")


def addresses_of(scan_id: int, scope: str) -> QuerySet[ReserveBalance, str]:
    """Return the verified addresses of an institution at a scan."""
    rows = ReserveBalance.objects.filter(scan=scan_id, scope=scope, badge=Badge.VERIFIED)
    return rows.values_list("address", flat=True)


@transaction.atomic
def lose(scans: Iterable[ReserveScan]) -> None:
    """Mark scans whose block is not in the active chain; those that are marked stay as they are."""
    for scan in scans:
        made, is_new = ReserveScanLoss.objects.get_or_create(scan=scan)
        if is_new:
            audit.record("reserve.lose_scan", made)


@transaction.atomic
def record(
    *,
    network: str,
    block_hash: str,
    height: int,
    block_at: datetime,
    lines: Sequence[Line],
    unspents: Sequence[Unspent],
) -> ReserveScan:
    """Write a scan of one block: a balance for each address, and each unspent output of the verified ones.

    What no scan that stands has seen is an inflow, which people class.

    An address is reused when an output of it was spent since the last scan that stands, or before, and it holds one that
    that scan did not see: between two scans nobody knows which of both came first, and either way its key is known.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK)
    base = standing().first()
    scan = ReserveScan.objects.create(
        network=network, block_hash=block_hash, height=height, block_at=block_at
    )
    marks = _compare(base, unspents)
    held: dict[str, list[int]] = {}
    for unspent in unspents:
        held.setdefault(unspent.address, []).append(unspent.amount_sat)
    balances = (_balance(scan, line, held.get(line.address, []), marks) for line in lines)
    ReserveBalance.objects.bulk_create(balances, batch_size=BATCH)
    coins = (ReserveCoin(scan=scan, **unspent._asdict()) for unspent in unspents)
    ReserveCoin.objects.bulk_create(coins, batch_size=BATCH)
    with connection.cursor() as cursor:
        cursor.execute(INFLOWS, [scan.pk])
    audit.record("reserve.scan", scan)
    return scan


def _compare(base: ReserveScan | None, unspents: Sequence[Unspent]) -> dict[str, Marks]:
    """Return what is known by now of each address that the base knew."""
    if base is None:
        return {}
    old = set(base.coins.values_list("address", "txid", "vout"))
    now = {(each.address, each.txid, each.vout) for each in unspents}
    gone, fresh = {coin[0] for coin in old - now}, {coin[0] for coin in now - old}
    known = base.balances.filter(badge=Badge.VERIFIED)
    found = {}
    for address, was_spent, was_reused in known.values_list("address", "is_spent", "is_reused"):
        is_spent = was_spent or address in gone
        found[address] = Marks(is_spent, was_reused or (is_spent and address in fresh))
    return found


def _balance(
    scan: ReserveScan, line: Line, amounts: Sequence[int], marks: dict[str, Marks]
) -> ReserveBalance:
    is_verified = line.badge == Badge.VERIFIED
    amount_sat = sum(amounts) if is_verified else line.stated_sat
    mark = marks.get(line.address, Marks()) if is_verified else Marks()
    return ReserveBalance(
        scan=scan,
        scope=line.scope,
        holding=line.holding,
        holding_number=line.holding_number,
        network=line.network,
        address=line.address,
        badge=line.badge,
        amount_sat=amount_sat,
        utxo_count=len(amounts) if is_verified else None,
        is_spent=mark.is_spent,
        is_reused=mark.is_reused,
        is_over_cap=amount_sat > line.cap_sat,
    )
