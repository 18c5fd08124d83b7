"""Books with a few entries, posted on this connection or on another one that stays open."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
from django.db import connection

from ledger import books, chart
from ledger.models import Leaf
from tests.faults.killing import database_url

PROGRAM = 7
SCOPE = chart.program_scope(PROGRAM)
ACCOUNTS = chart.program_accounts(PROGRAM)
AT = datetime(2026, 11, 24, 10, tzinfo=UTC)
NEW_ENTRY = """
WITH new AS (
    INSERT INTO ledger_entry (kind, scope, idempotency_key, input_hash, effective_at, memo, source_ref, actor, approver,
        block_hash) VALUES ('test', %s, %s, '\\x00', now(), '', '', 'test', '', '') RETURNING id
)
INSERT INTO ledger_posting (entry_id, account_id, amount)
SELECT new.id, a.id, v.amount FROM new, (VALUES (%s, 5), (%s, -5)) v (code, amount)
    JOIN ledger_account a ON a.code = v.code RETURNING entry_id
"""


def post(*keys: str, lines: int = 2) -> list[int]:
    """Post an entry a key in one database transaction; return their ids."""
    half = lines // 2
    return books.post(
        books.Draft(
            kind="test",
            scope=SCOPE,
            idempotency_key=key,
            lines=[
                *(books.Line(ACCOUNTS.transfers, 10 + number, number) for number in range(half)),
                *(books.Line(ACCOUNTS.payable, -10 - number) for number in range(half)),
            ],
            effective_at=AT,
            memo=f"About {key}",
            actor="test",
        )
        for key in keys
    )


class Writer:
    """A session of its own, in a database transaction that stays open until it is told."""

    def __init__(self) -> None:
        self.session = psycopg.connect(database_url())

    def post(self, key: str) -> int:
        values = [SCOPE, key, ACCOUNTS.transfers, ACCOUNTS.payable]
        row = self.session.execute(NEW_ENTRY, values).fetchone()
        assert row is not None
        return int(row[0])

    def commit(self) -> None:
        self.session.commit()

    def rollback(self) -> None:
        self.session.rollback()


@contextmanager
def another_writer() -> Iterator[Writer]:
    writer = Writer()
    try:
        yield writer
    finally:
        writer.session.close()


def sealed() -> list[int]:
    """Return the entries of the leaves, in their order, which has no gap."""
    rows = list(Leaf.objects.order_by("index").values_list("index", "entry_id"))
    assert [index for index, _ in rows] == list(range(len(rows)))
    return [entry_id for _, entry_id in rows]


@contextmanager
def tampering(*tables: str) -> Iterator[None]:
    """Let the owner of the tables switch the guards off, as somebody who means harm would."""
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        try:
            yield
        finally:
            cursor.execute(
                "SELECT tgrelid::regclass::text, tgname FROM pg_trigger"
                " WHERE NOT tgisinternal AND tgrelid = ANY(%s::regclass[])",
                [list(tables)],
            )
            for table, trigger in cursor.fetchall():
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
