"""Posting entries in batches, against psycopg that inserts the same rows, and against django-hordak."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any, NamedTuple

import psycopg

from ledger import books, chart
from ledger.books import Draft, Line
from ledger.models import Account
from tests.bench import hordak
from tests.bench.intake import _database

TURNS = 10
PROGRAM = 999_999
NOW = datetime(2026, 11, 29, tzinfo=UTC)
# Copies with the same columns, keys, checks and indexes, and without the triggers that guard the books.
COPIES = """
CREATE TABLE IF NOT EXISTS bench_entry (LIKE ledger_entry INCLUDING ALL);
CREATE TABLE IF NOT EXISTS bench_posting (LIKE ledger_posting INCLUDING ALL)
"""
# The books take an entry and its lines in one statement; nothing else is asked of whoever writes.
PLAIN = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(%s::text[], %s::bytea[], %s::timestamptz[]) WITH ORDINALITY AS d(key, hash, at, number)
), written AS (
    INSERT INTO {entry} (kind, scope, idempotency_key, input_hash, effective_at, memo, source_ref, actor, approver,
        block_hash)
    SELECT 'bench', 'program:999999', key, hash, at, '', '', 'bench', '', '' FROM given RETURNING idempotency_key, id
)
INSERT INTO {posting} (entry_id, account_id, amount, reference, layer)
SELECT w.id, l.account, l.amount, l.reference, 'settled'
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) WITH ORDINALITY
    AS l(entry, account, amount, reference, number)
JOIN given g ON g.number = l.entry JOIN written w ON w.idempotency_key = g.key ORDER BY l.number
"""


class Shape(NamedTuple):
    """How many entries are in a batch, which is one database transaction, and how many lines in an entry."""

    batch: int
    lines: int

    def amounts(self, number: int) -> list[int]:
        """Return what the lines of an entry are: debits, and the credit that balances them."""
        debits = [1 + number + at for at in range(self.lines - 1)]
        return [*debits, -sum(debits)]


Way = Callable[[Shape, str, Sequence[int]], None]


def measure(entries: int) -> dict[str, Any]:
    """Return what posting costs in small entries and in those of payouts, in turns with others on the same machine."""
    chart.open_program(PROGRAM)
    with psycopg.connect(**_database()) as database:
        database.execute(COPIES)
        database.commit()
        report: dict[str, Any] = {
            "two_lines_an_entry": compare(database, Shape(200, 2), entries),
            "five_hundred_lines_an_entry": compare(database, Shape(5, 500), max(TURNS * 5, entries // 100)),
        }
    ours = report["two_lines_an_entry"]["posted_a_second"]
    return report | {"hordak": hordak.measure(entries // 10, ours), "plain_to_ours_goal": 0.7}


def compare(database: psycopg.Connection[Any], shape: Shape, entries: int) -> dict[str, Any]:
    """Post and insert by turns, a commit a batch; return the rates of the best turns, and the medians of their ratios."""
    ways: dict[str, Way] = {
        "ours": post,
        "books": lambda *what: insert(database, "ledger_entry", "ledger_posting", *what),
        "copies": lambda *what: insert(database, "bench_entry", "bench_posting", *what),
    }
    run = secrets.token_hex(4)
    turn = max(entries // TURNS, shape.batch)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for at in range(TURNS):
        for name, way in ways.items():
            begin = time.perf_counter()
            for first in range(at * turn, (at + 1) * turn, shape.batch):
                numbers = range(first, min(first + shape.batch, (at + 1) * turn))
                way(shape, f"bench {run} {name}", numbers)
            taken[name].append(time.perf_counter() - begin)
    return {
        "entries": turn * TURNS,
        "batch": shape.batch,
        "posted_a_second": round(turn / min(taken["ours"])),
        "inserted_a_second_into_the_same_tables": round(turn / min(taken["books"])),
        "inserted_a_second_without_triggers": round(turn / min(taken["copies"])),
        "plain_to_ours": round(median(_ratios(taken["books"], taken["ours"])), 2),
        "plain_without_triggers_to_ours": round(median(_ratios(taken["copies"], taken["ours"])), 2),
    }


def post(shape: Shape, name: str, numbers: Sequence[int]) -> None:
    """Post a batch through the books."""
    accounts = chart.program_accounts(PROGRAM)
    books.post(
        Draft(
            kind="bench",
            scope="program:999999",
            idempotency_key=f"{name}:{number}",
            lines=[
                Line(accounts.hot_wallet if amount < 0 else accounts.in_transit, amount, at)
                for at, amount in enumerate(shape.amounts(number))
            ],
            effective_at=NOW,
            actor="bench",
        )
        for number in numbers
    )


def insert(
    database: psycopg.Connection[Any],
    entry: str,
    posting: str,
    shape: Shape,
    name: str,
    numbers: Sequence[int],
) -> None:
    """Insert the same rows with psycopg and nothing around it, as fast as it does that."""
    ids = _accounts()
    lines = [
        (place, ids[amount < 0], amount, at)
        for place, number in enumerate(numbers, start=1)
        for at, amount in enumerate(shape.amounts(number))
    ]
    keys = [f"{name}:{number}" for number in numbers]
    columns = [list(column) for column in zip(*lines, strict=True)]
    statement = PLAIN.format(entry=entry, posting=posting)
    database.execute(statement, [keys, [bytes(32)] * len(keys), [NOW] * len(keys), *columns])
    database.commit()


def _accounts(known: list[int] = []) -> list[int]:  # noqa: B006 - looked up once.
    if not known:
        codes = chart.program_accounts(PROGRAM)
        known += [Account.objects.get(code=code).pk for code in (codes.in_transit, codes.hot_wallet)]
    return known


def _ratios(one: list[float], other: list[float]) -> Iterator[float]:
    return (a / b for a, b in zip(one, other, strict=True))
