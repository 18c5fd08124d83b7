"""What institutions added to their bitcoin in some time, counted as a lender does and as addresses show it (R-27).

A lender counts what the state adds of its own will: purchases and mining, less what was disposed of. It leaves out what was
forfeited, given, moved from one pocket to another, or is held for clients. Whoever looks at the addresses sees how much more
is on them, whatever it came for, and what was there before an address was declared. Both are true, and differ.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db import connection

from ledger.models.inflow import VOLUNTARY, InflowKind

KINDS = tuple(kind.value for kind in InflowKind)
# Of each institution. Inflows count by their newest class, from when that took effect; what has none from the time of the
# block of the scan that found it. Balances are of verified addresses at the last scans of blocks before both ends.
# What a trust bought is what its board decided: to its addresses it comes as everything does that people's legs bring.
SQL = """
WITH stands AS (
    SELECT s.* FROM ledger_reservescan s WHERE s.scanned_at <= %(known_at)s AND NOT EXISTS (
        SELECT FROM ledger_reservescanloss l WHERE l.scan_id = s.id AND l.found_at <= %(known_at)s
    )
), came AS (
    SELECT i.scope, coalesce(k.kind, '') AS kind, i.amount_sat, coalesce(k.effective_at, s.block_at) AS at
    FROM ledger_inflow i JOIN stands s ON s.id = i.scan_id
    LEFT JOIN LATERAL (
        SELECT kind, effective_at FROM ledger_inflowclass c
        WHERE c.txid = i.txid AND c.vout = i.vout AND c.recorded_at <= %(known_at)s ORDER BY c.id DESC LIMIT 1
    ) k ON true
), parts AS (
    SELECT scope, kind AS what, amount_sat FROM came
    WHERE at < %(before)s AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
    UNION ALL
    SELECT scope, CASE kind WHEN 'disposal' THEN 'disposed' ELSE 'purchase' END, amount_sat FROM ledger_lotmovement
    WHERE recorded_at <= %(known_at)s AND effective_at < %(before)s
        AND (%(since)s::timestamptz IS NULL OR effective_at >= %(since)s)
        AND (kind = 'disposal' OR reference LIKE 'trust_decision:%%' AND EXISTS (
            SELECT FROM ledger_account a WHERE a.scope = ledger_lotmovement.scope AND a.code LIKE 'Assets:TrustInventory:%%'
        ))
        AND (scope IN (SELECT scope FROM came) OR scope IN (
            SELECT scope FROM ledger_reservebalance WHERE scan_id = (SELECT max(id) FROM stands)
        ))
    UNION ALL
    SELECT b.scope, 'opening', b.amount_sat FROM ledger_reservebalance b
    WHERE b.badge = 'verified' AND b.scan_id = (SELECT max(id) FROM stands WHERE block_at < %(since)s)
    UNION ALL
    SELECT b.scope, 'closing', b.amount_sat FROM ledger_reservebalance b
    WHERE b.badge = 'verified' AND b.scan_id = (SELECT max(id) FROM stands WHERE block_at < %(before)s)
)
SELECT scope, coalesce(sum(amount_sat) FILTER (WHERE what = 'purchase'), 0)::bigint,
    coalesce(sum(amount_sat) FILTER (WHERE what = 'mining'), 0)::bigint,
    coalesce(sum(amount_sat) FILTER (WHERE what = 'forfeiture'), 0)::bigint,
    coalesce(sum(amount_sat) FILTER (WHERE what = 'donation'), 0)::bigint,
    coalesce(sum(amount_sat) FILTER (WHERE what = 'internal_transfer'), 0)::bigint,
    coalesce(sum(amount_sat) FILTER (WHERE what = 'client_deposit'), 0)::bigint,
    coalesce(sum(amount_sat) FILTER (WHERE what = ''), 0)::bigint,
    coalesce(sum(amount_sat) FILTER (WHERE what = 'disposed'), 0)::bigint,
    coalesce(sum(amount_sat) FILTER (WHERE what = 'opening'), 0)::bigint,
    coalesce(sum(amount_sat) FILTER (WHERE what = 'closing'), 0)::bigint
FROM parts WHERE %(scope)s::text IS NULL OR scope = %(scope)s GROUP BY scope ORDER BY scope
"""


@dataclass(frozen=True)
class Accumulation:
    """Satoshis of institutions in some time: what came by kind, what is not classed, what was disposed of.

    ``opening_sat`` and ``closing_sat`` are what was on verified addresses by the last scans before both ends.
    """

    by_kind: dict[str, int]
    unclassed_sat: int
    disposed_sat: int
    opening_sat: int
    closing_sat: int

    @property
    def net_voluntary_sat(self) -> int:
        """As a lender counts: purchases and mining less disposals. What nobody has classed is not in it."""
        return sum(self.by_kind[kind] for kind in VOLUNTARY) - self.disposed_sat

    @property
    def grown_sat(self) -> int:
        """As addresses show it: how much more is on them at the end than at the beginning."""
        return self.closing_sat - self.opening_sat

    @property
    def differs_sat(self) -> int:
        """How far both ways are apart."""
        return self.grown_sat - self.net_voluntary_sat


def of_row(row: Sequence[Any]) -> Accumulation:
    """Return what a row of SQL says, but for whose it is."""
    kinds, rest = row[1 : 1 + len(KINDS)], row[1 + len(KINDS) :]
    return Accumulation(dict(zip(KINDS, kinds, strict=True)), *rest)


def total(found: Iterable[Accumulation]) -> Accumulation:
    """Return the sums of institutions."""
    rows = list(found)
    sums = [
        sum(map(attrgetter(name), rows))
        for name in ("unclassed_sat", "disposed_sat", "opening_sat", "closing_sat")
    ]
    return Accumulation({kind: sum(row.by_kind[kind] for row in rows) for kind in KINDS}, *sums)


def count(*, since: datetime | None, before: datetime, known_at: datetime) -> dict[str, Accumulation]:
    """Return by institution what was added from ``since`` on and before ``before``, with one statement."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, {"since": since, "before": before, "known_at": known_at, "scope": None})
        return {row[0]: of_row(row) for row in cursor.fetchall()}
