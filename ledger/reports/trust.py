"""The statement of a convertibility trust: its money, what it owes people, its bitcoin by books, lots and addresses (R-25).

The same bitcoin is counted three times by sources that know nothing of each other, and what differs is a row of its own.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from ledger.reports.asked import Asked
from ledger.reports.report import CURRENCY, Column, Report, Unit
from ledger.treasury.lots import Fifo, Movement, WeightedAverage

# Rows that are told as they are, then the movements of lots in order of time, from which gains follow.
SQL = """
WITH balances AS MATERIALIZED (
    SELECT split_part(a.code, ':', 2) AS noun, a.currency, a.scale,
        coalesce(sum(p.amount) FILTER (WHERE p.layer = 'settled'), 0) AS settled,
        coalesce(sum(p.amount) FILTER (WHERE p.layer = 'encumbered'), 0) AS encumbered
    FROM ledger_account a LEFT JOIN (
        SELECT p.account_id, p.amount, p.layer FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id
        WHERE e.effective_at < %(before)s AND e.recorded_at <= %(known_at)s
            AND p.account_id IN (SELECT id FROM ledger_account WHERE scope = %(scope)s)
    ) p ON p.account_id = a.id
    WHERE a.scope = %(scope)s AND split_part(a.code, ':', 2) LIKE 'Trust%%'
    GROUP BY a.code, a.currency, a.scale
), lots AS MATERIALIZED (
    SELECT * FROM ledger_lotmovement
    WHERE scope = %(scope)s AND effective_at < %(before)s AND recorded_at <= %(known_at)s
), scan AS MATERIALIZED (
    SELECT s.* FROM ledger_reservescan s
    WHERE s.block_at < %(before)s AND s.scanned_at <= %(known_at)s AND NOT EXISTS (
        SELECT FROM ledger_reservescanloss l WHERE l.scan_id = s.id AND l.found_at <= %(known_at)s)
    ORDER BY s.id DESC LIMIT 1
), found AS MATERIALIZED (
    SELECT b.address, b.amount_sat, b.badge, b.network, s.height, s.block_hash
    FROM scan s JOIN ledger_reservebalance b ON b.scan_id = s.id WHERE b.scope = %(scope)s
), counted AS (
    SELECT coalesce((SELECT sum(settled) FROM balances WHERE noun = 'TrustInventory'), 0) AS by_books,
        coalesce((SELECT sum(CASE kind WHEN 'acquisition' THEN amount_sat ELSE -amount_sat END) FROM lots), 0) AS by_lots,
        coalesce((SELECT sum(amount_sat) FROM found WHERE badge = 'verified'), 0) AS on_addresses,
        (SELECT 'block ' || height || ' ' || block_hash FROM scan) AS block
), money AS (
    SELECT currency, scale,
        sum(settled) FILTER (WHERE noun = 'TrustCash') AS cash,
        -sum(settled) FILTER (WHERE noun = 'TrustCapital') AS capital,
        -sum(settled) FILTER (WHERE noun = 'TrustPayable') AS owed, -sum(encumbered) FILTER (WHERE noun = 'TrustPayable')
            AS promised, sum(settled) FILTER (WHERE noun = 'TrustPosition') AS position
    FROM balances WHERE currency <> 'BTC' GROUP BY currency, scale
), told AS (
    SELECT 1 AS place, 'capital' AS part, '' AS item, currency, scale, capital AS amount, 'paid in, less paid out' AS note
    FROM money
    UNION ALL SELECT 2, 'cash', '', currency, scale, cash, '' FROM money
    UNION ALL SELECT 3, 'owed to people', '', currency, scale, owed, 'their bitcoin has come' FROM money
    UNION ALL SELECT 4, 'promised to people', '', currency, scale, promised, 'their bitcoin is on its way' FROM money
    UNION ALL SELECT 5, 'cash above what people are due', '', currency, scale, cash - owed - promised,
        CASE WHEN cash < owed + promised THEN 'PEOPLE ARE NOT COVERED' ELSE 'people are covered' END FROM money
    UNION ALL SELECT 6, 'put into bitcoin', '', currency, scale, position, 'less what it brought' FROM money
    UNION ALL SELECT 7, 'bitcoin by the books', '', 'BTC', 8, by_books, '' FROM counted
    UNION ALL SELECT 8, 'bitcoin by lots', '', 'BTC', 8, by_lots, '' FROM counted
    UNION ALL SELECT 9, 'bitcoin on addresses', '', 'BTC', 8, on_addresses, coalesce(block, 'no scan stands yet')
    FROM counted
    UNION ALL SELECT 10, 'difference', 'books less lots', 'BTC', 8, by_books - by_lots,
        CASE WHEN NOT EXISTS (SELECT FROM balances) THEN 'THERE ARE NO BOOKS OF SUCH A TRUST'
            WHEN by_books = by_lots THEN 'none' ELSE 'one of them was changed past the trust' END FROM counted
    UNION ALL SELECT 11, 'difference', 'books less addresses', 'BTC', 8, by_books - on_addresses, CASE
        WHEN NOT EXISTS (SELECT FROM balances) THEN 'THERE ARE NO BOOKS OF SUCH A TRUST'
        WHEN block IS NULL THEN 'nothing was counted yet' WHEN by_books = on_addresses THEN 'none'
        WHEN by_books > on_addresses THEN 'booked, and not on an address of its holdings at this block'
        ELSE 'on its addresses, and not booked by then' END FROM counted
    UNION ALL SELECT 12, 'address', address, 'BTC', 8, amount_sat,
        CASE badge WHEN 'verified' THEN 'verified at block ' || height ELSE 'declared only, on ' || network END FROM found
)
SELECT * FROM (
    SELECT place, part, item, currency, scale, amount::bigint AS amount, note, NULL::timestamptz AS at,
        NULL::boolean AS is_acquisition, NULL::bigint AS amount_sat, NULL::text AS reference, 0::bigint AS id FROM told
    UNION ALL
    SELECT 13, '', '', currency, scale, value_minor, '', effective_at, kind = 'acquisition', amount_sat, reference, id
    FROM lots
) r ORDER BY place, currency, scale, item, at, id
"""
LOTS = 13
Row = tuple[Any, ...]


def statement(rows: Iterator[Row], asked: Asked) -> Iterator[Row]:
    """Yield what is told as it is, and then, a currency at a time, what the lots cost, brought and gained."""
    for place, of_place in groupby(rows, key=lambda row: row[0]):
        if place != LOTS:
            yield from (row[1:7] for row in of_place)
            continue
        for (currency, scale), movements in groupby(of_place, key=lambda row: row[3:5]):
            yield from _gains(currency, scale, movements)


def _gains(currency: str, scale: int, rows: Iterator[Row]) -> Iterator[Row]:
    fifo, average = Fifo(), WeightedAverage()
    brought = by_fifo = by_average = 0
    for row in rows:
        value_minor, at, is_acquisition, amount_sat, reference = (row[5], *row[7:11])
        movement = Movement(at, is_acquisition, amount_sat, value_minor, reference)
        by_fifo += sum(part.gain_minor for part in fifo.move(movement))
        by_average += sum(part.gain_minor for part in average.move(movement))
        brought += 0 if is_acquisition else value_minor
    left = sum(lot.left_minor for lot in fifo.lots)
    yield "lots", "cost of what is left, by FIFO", currency, scale, left, f"{len(fifo.lots)} lots"
    yield "lots", "cost of what is left, by average", currency, scale, average.cost_minor, ""
    yield "lots", "brought by disposals", currency, scale, brought, ""
    yield "lots", "gained, by FIFO", currency, scale, by_fifo, "below zero: lost"
    yield "lots", "gained, by average", currency, scale, by_average, "below zero: lost"


REPORT = Report(
    name="trust",
    title="Statement of a convertibility trust",
    meaning="Capital, cash and what people are due in each currency; its bitcoin by the books, by lots and on its addresses"
    " at the last block that was scanned before the end, with what differs; and what its lots cost and gained.",
    needs=("scope",),
    has_beginning=False,
    columns=(
        Column("part", "Part"),
        Column("item", "Item"),
        *CURRENCY,
        Column("amount", "Amount", Unit.UNITS),
        Column("note", "Note"),
    ),
    sql=SQL,
    derive=statement,
)
