"""What each institution holds of bitcoin at a scan, what that had cost, and what it was worth by a quote (R-30).

The cost is by weighted average (`lots.py`): of what is left of the lots that were recorded, which may be less than what is
on the addresses. Where no quote was taken there is no value: none is made up.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from django.db import connection

from ledger.treasury.lots import Movement, WeightedAverage, half_even

COIN = 100_000_000
# A block may be dated so far ahead of our clock, by the rules of the network: what is known now is of blocks before that.
AHEAD = timedelta(hours=2)
# All the bitcoin that there will ever be, in satoshis.
ALL_SAT = 21_000_000 * COIN
NOT_VALUED = "not_valued"
# The newest scan of a block before the end, as known at a time. An institution is shown in the currencies of its lots, and
# where it has none in those that the scan was valued in. A row for each movement of lots, in the order of their arithmetic.
_SQL = """
WITH scan AS (
    SELECT s.* FROM ledger_reservescan s
    WHERE s.block_at < %(before)s AND s.scanned_at <= %(known_at)s AND NOT EXISTS (
        SELECT FROM ledger_reservescanloss l WHERE l.scan_id = s.id AND l.found_at <= %(known_at)s
    )
    ORDER BY s.id DESC LIMIT 1
), held AS (
    SELECT b.scope, sum(b.amount_sat) FILTER (WHERE b.badge = 'verified') AS verified_sat,
        sum(b.amount_sat) FILTER (WHERE b.badge = 'declared') AS declared_sat, count(*) AS address_count
    FROM ledger_reservebalance b JOIN scan ON scan.id = b.scan_id
    WHERE %(scope)s::text IS NULL OR b.scope = %(scope)s GROUP BY b.scope
), moved AS (
    SELECT m.* FROM ledger_lotmovement m JOIN held USING (scope)
    WHERE m.effective_at < %(before)s AND m.recorded_at <= %(known_at)s
), shown AS (
    SELECT DISTINCT scope, currency, scale FROM moved
    UNION
    SELECT h.scope, v.currency, v.scale FROM held h JOIN scan ON true
    JOIN ledger_reservevaluation v ON v.scan_id = scan.id
    WHERE NOT EXISTS (SELECT FROM moved WHERE moved.scope = h.scope){also}
)
SELECT h.scope, coalesce(h.verified_sat, 0)::bigint, coalesce(h.declared_sat, 0)::bigint, h.address_count,
    coalesce(c.currency, ''), coalesce(c.scale, 0), v.price, v.quote_number, coalesce(v.rule, ''), coalesce(v.message, ''),
    scan.height, scan.block_hash, scan.block_at,
    m.effective_at, m.kind = 'acquisition', m.amount_sat, m.value_minor, m.reference
FROM scan JOIN held h ON true
LEFT JOIN shown c ON c.scope = h.scope
LEFT JOIN ledger_reservevaluation v ON v.scan_id = scan.id AND v.currency = c.currency AND v.scale = c.scale
LEFT JOIN moved m ON m.scope = c.scope AND m.currency = c.currency AND m.scale = c.scale
ORDER BY h.scope, c.currency, c.scale, m.effective_at, m.id
"""
SQL = _SQL.format(also="")
ALSO = _SQL.format(
    also="""
    UNION
    SELECT h.scope, v.currency, v.scale FROM held h JOIN scan ON true
    JOIN unnest(%(scopes)s::text[], %(currencies)s::text[]) AS a(scope, currency) ON a.scope = h.scope
    JOIN ledger_reservevaluation v ON v.scan_id = scan.id AND v.currency = a.currency"""
)
OF_POSITION = 13


@dataclass(frozen=True)
class Position:
    """What an institution has at a block, in one currency (empty where nobody has lots or prices).

    ``lot_sat`` of it have a known cost. ``price`` is of a bitcoin in major units, None where ``rule`` stands against one.
    """

    scope: str
    verified_sat: int
    declared_sat: int
    address_count: int
    currency: str
    scale: int
    price: Decimal | None
    quote_number: int | None
    rule: str
    message: str
    height: int
    block_hash: str
    block_at: datetime
    lot_sat: int
    cost_minor: int

    @property
    def badge(self) -> str:
        """How what it holds is known: verified, declared, or partly each."""
        if self.verified_sat and self.declared_sat:
            return "partly"
        return "declared" if self.declared_sat else "verified"

    @property
    def held_sat(self) -> int:
        """What it has, however that is known."""
        return self.verified_sat + self.declared_sat

    @property
    def share_percent(self) -> Decimal:
        """What that is of all the bitcoin that there will ever be, in percent, to eight digits."""
        return share_percent(self.held_sat)

    @property
    def average_minor(self) -> int | None:
        """What a bitcoin of the lots had cost, half to even; None without lots."""
        return half_even(self.cost_minor * COIN, self.lot_sat) if self.lot_sat else None

    @property
    def fair_minor(self) -> int | None:
        """What it is worth by the quote; None where there is none."""
        return self._worth(self.held_sat)

    @property
    def unrealised_minor(self) -> int | None:
        """What would be gained on the lots, whose cost is known, by the quote; None without lots or a quote."""
        worth = self._worth(self.lot_sat)
        return None if worth is None or not self.lot_sat else worth - self.cost_minor

    def _worth(self, amount_sat: int) -> int | None:
        return None if self.price is None else worth_minor(amount_sat, self.price, self.scale)


def share_percent(amount_sat: int) -> Decimal:
    """Return what satoshis are of 21 million bitcoin in percent, to eight digits."""
    return (Decimal(amount_sat) * 100 / ALL_SAT).quantize(Decimal("1e-8"))


def worth_minor(amount_sat: int, price: Decimal, scale: int) -> int:
    """Return what satoshis are worth in minor units, half to even, at a price of a bitcoin in major units."""
    numerator, denominator = price.as_integer_ratio()
    return half_even(amount_sat * numerator * 10**scale, denominator * COIN)


def read(rows: Iterable[tuple[Any, ...]]) -> Iterator[Position]:
    """Yield the positions of the rows of SQL, as they come."""
    for key, group in groupby(rows, key=lambda row: row[:OF_POSITION]):
        pool = WeightedAverage()
        for row in group:
            at, is_acquisition, amount_sat, value_minor, reference = row[OF_POSITION:]
            if at is not None:
                pool.move(Movement(at, is_acquisition, amount_sat, value_minor, reference))
        found = Position(*(*key, pool.amount_sat, pool.cost_minor))
        if found.price is None and not found.rule:
            found = replace(found, rule=NOT_VALUED, message="No price was looked for at this scan.")
        yield found


def at(
    *,
    before: datetime,
    known_at: datetime,
    scope: str | None = None,
    also: Collection[tuple[str, str]] = (),
) -> list[Position]:
    """Return the positions by the newest scan of a block before a time, as known at one, with one statement.

    ``also`` are institutions with a currency in which each is shown whether or not it has lots in it.
    """
    asked: dict[str, Any] = {"before": before, "known_at": known_at, "scope": scope}
    asked |= {"scopes": [name for name, _ in also], "currencies": [currency for _, currency in also]}
    with connection.cursor() as cursor:
        cursor.execute(ALSO, asked)
        return list(read(iter(cursor.fetchone, None)))
