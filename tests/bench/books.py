"""Posting entries in batches, against plain batched psycopg into the same kind of tables."""

import time
from typing import Any

import psycopg
from django.utils import timezone

from ledger import books, chart
from ledger.books import Draft, Line
from tests.bench.intake import _database

BATCH = 200
PLAIN = """
CREATE TABLE bench_entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text UNIQUE, at timestamptz);
CREATE TABLE bench_posting (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry_id bigint NOT NULL,
    account_id bigint NOT NULL, amount bigint NOT NULL);
CREATE INDEX ON bench_posting (account_id, entry_id)
"""
ENTRIES = "INSERT INTO bench_entry (key, at) SELECT key, now() FROM unnest(%s::text[]) AS key RETURNING id"
POSTINGS = (
    "INSERT INTO bench_posting (entry_id, account_id, amount)"
    " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[])"
)


def measure(entries: int) -> dict[str, Any]:
    """Return entries a second, ours and plain, two lines an entry, batches of 200, one commit a batch."""
    ours, plain = post_ours(entries), post_plain(entries)
    return {
        "entries": entries,
        "batch": BATCH,
        "posted_a_second": round(entries / ours),
        "plain_a_second": round(entries / plain),
        "ours_to_plain": round(ours / plain, 2),
    }


def post_ours(entries: int) -> float:
    """Post through the books; return the seconds."""
    chart.open_program(999_999)
    accounts = chart.program_accounts(999_999)
    now = timezone.now()
    begin = time.perf_counter()
    for at in range(0, entries, BATCH):
        books.post(
            Draft(
                kind="bench",
                scope="program:999999",
                idempotency_key=f"bench:{number}",
                lines=[Line(accounts.hot_wallet, 1 + number), Line(accounts.appropriation, -1 - number)],
                effective_at=now,
                actor="bench",
            )
            for number in range(at, min(at + BATCH, entries))
        )
    return time.perf_counter() - begin


def post_plain(entries: int) -> float:
    """Insert the same lines with psycopg and nothing around it; return the seconds."""
    with psycopg.connect(**_database()) as database:
        database.execute(PLAIN)
        database.commit()
        begin = time.perf_counter()
        for at in range(0, entries, BATCH):
            numbers = range(at, min(at + BATCH, entries))
            ids = [pk for (pk,) in database.execute(ENTRIES, [[f"bench:{number}" for number in numbers]])]
            rows = [
                row
                for pk, number in zip(ids, numbers, strict=True)
                for row in ((pk, 1, number + 1), (pk, 2, -number - 1))
            ]
            database.execute(POSTINGS, [list(column) for column in zip(*rows, strict=True)])
            database.commit()
        return time.perf_counter() - begin
