"""Reads from the books what is sealed of them: entries with their lines, runs, changes of periods and audit events."""

import json
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ledger.seals.canonical import SealedChange, SealedEntry, SealedEvent, SealedLine, SealedRun

COLUMNS = """
e.id, e.kind, e.scope, e.idempotency_key, e.input_hash, e.effective_at, e.original_at, e.recorded_at, e.memo,
e.source_ref, e.actor, e.approver, e.block_hash, e.block_height, e.reversal_of_id
"""
# Where a row has the entry's input hash, and what follows the entry.
DIGEST, AFTER = 4, 15
# A line each: id, account, layer, amount, and reference where there is one. What an account is follows from ``Accounts``.
# They are put in order here: a planner that may choose one looks for an index with that order first, and finds all lines.
LINES_OF = """
SELECT string_agg(concat_ws(' ', p.id, p.account_id, p.layer, p.amount, p.reference), E'\\n') AS lines
FROM ledger_posting p WHERE p.entry_id =
"""
RUN_COLUMNS = """
r.id, r.scope, r.status, r.reason, r.is_full, r.previous_id, r.block_hash, r.block_height, r.books_mark, r.counts::text,
r.totals::text, r.break_count, r.explained_count, r.digest, r.started_at, r.finished_at
"""
CHANGE_COLUMNS = """
g.id, q.name, q.ends_at, g.status, g.actor, g.note, g.through_entry_id, g.digest, g.recorded_at
"""
EVENT_COLUMNS = """
v.id, v.recorded_at, v.actor, v.actor_id, v.door, v.action, v.subject_kind, v.subject_id, v.scope, v.request_id, v.reason,
v.before_sha256, v.after_sha256
"""
# So many ids of accounts are looked up at a time: that of one that is asked for, and its neighbours.
ACCOUNTS_AT_ONCE = 1_000
ACCOUNTS = """
SELECT a.id::text, a.code, ARRAY[a.entity, a.function, a.object, a.fund, a.project], a.currency, a.scale
FROM ledger_account a WHERE a.id BETWEEN %s AND %s
"""

Account = tuple[str, Sequence[str], str, int]
NO_ACCOUNT: Account = ("", ("",) * 5, "", 0)


class Accounts(dict[str, Account]):
    """What the accounts of lines are, by their id as text: read when first asked for, as long as this lives."""

    def __init__(self, database: BaseDatabaseWrapper) -> None:
        super().__init__()
        self.database = database

    def __missing__(self, account_id: str) -> Account:
        with self.database.cursor() as cursor:
            first = int(account_id) // ACCOUNTS_AT_ONCE * ACCOUNTS_AT_ONCE
            cursor.execute(ACCOUNTS, [first, first + ACCOUNTS_AT_ONCE - 1])
            for found, code, elements, currency, scale in cursor.fetchall():
                self[found] = (code, tuple(elements), currency, scale)
        # Only somebody who changes the books by force takes an account away; the line is then no longer what it was.
        return self.setdefault(account_id, NO_ACCOUNT)


def read_entry(row: Sequence[Any], accounts: Accounts) -> SealedEntry:
    """Return an entry from a row of COLUMNS, ..., lines."""
    found = [line.split(" ") for line in (row[-1] or "").splitlines()]
    found.sort(key=_id)
    lines = [
        SealedLine(*accounts[account], layer, int(amount), int(reference[0]) if reference else None)
        for _, account, layer, amount, *reference in found
    ]
    return SealedEntry._make([*row[:DIGEST], bytes(row[DIGEST]), *row[DIGEST + 1 : AFTER], lines])


def _id(line: Sequence[str]) -> int:
    return int(line[0])


def read_run(row: Sequence[Any]) -> SealedRun:
    """Return a run from a row of RUN_COLUMNS."""
    run = SealedRun._make(row)
    counts, totals = (json.loads(str(text)) for text in (run.counts, run.totals))
    return run._replace(counts=counts, totals=totals, digest=bytes(run.digest))


def read_change(row: Sequence[Any]) -> SealedChange:
    """Return a period's change from a row of CHANGE_COLUMNS."""
    change = SealedChange._make(row)
    return change._replace(digest=None if change.digest is None else bytes(change.digest))


def read_event(row: Sequence[Any]) -> SealedEvent:
    """Return an audit event from a row of EVENT_COLUMNS."""
    event = SealedEvent._make(row)
    before, after = (None if sha256 is None else bytes(sha256) for sha256 in row[-2:])
    return event._replace(before_sha256=before, after_sha256=after)
