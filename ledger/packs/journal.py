"""The sealed entries of a pack, in the order of the tree, and hashes in the place of all others."""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connection

from ledger.exports import Selection
from ledger.exports.source import CHOSEN
from ledger.packs import record
from ledger.packs.cover import cover
from ledger.seals import store

# An entry may have a line for each of 500 people, so that few of them fill the memory.
AT_ONCE = 20
MANY = 5_000
SINCE = "AND (%(since)s::timestamptz IS NULL OR e.effective_at >= %(since)s)"
LEAVES = f"""
SELECT f.index, f.hash, s.salt, d.payload, q.asked_by, q.why, r.approved_by, r.redacted_at
FROM ledger_leaf f JOIN ledger_entry e ON e.id = f.entry_id
LEFT JOIN ledger_leafsalt s ON s.leaf_id = f.index LEFT JOIN ledger_leafpayload d ON d.leaf_id = f.index
LEFT JOIN ledger_redaction r ON r.leaf_id = f.index LEFT JOIN ledger_redactionrequest q ON q.id = r.request_id
WHERE {CHOSEN} {SINCE} AND f.index < %(size)s ORDER BY f.index
"""  # noqa: S608 - all parts are constants.
COUNT = f"""
SELECT count(f.index), count(*) - count(f.index)
FROM ledger_entry e LEFT JOIN ledger_leaf f ON f.entry_id = e.id AND f.index < %(size)s WHERE {CHOSEN} {SINCE}
"""  # noqa: S608 - all parts are constants.
RUN_LEAVES = """
SELECT f.index, f.hash, s.salt, d.payload, q.asked_by, q.why, b.approved_by, b.redacted_at
FROM ledger_leaf f JOIN ledger_reconciliationrun r ON r.id = f.run_id
LEFT JOIN ledger_leafsalt s ON s.leaf_id = f.index LEFT JOIN ledger_leafpayload d ON d.leaf_id = f.index
LEFT JOIN ledger_redaction b ON b.leaf_id = f.index LEFT JOIN ledger_redactionrequest q ON q.id = b.request_id
WHERE r.scope = ANY(%(scopes)s) AND f.index < %(size)s AND (%(since)s::timestamptz IS NULL OR r.finished_at >= %(since)s)
    AND (%(before)s::timestamptz IS NULL OR r.finished_at < %(before)s) ORDER BY f.index
"""
PERIOD_LEAVES = """
SELECT f.index, f.hash, s.salt, d.payload, q.asked_by, q.why, b.approved_by, b.redacted_at
FROM ledger_leaf f LEFT JOIN ledger_leafsalt s ON s.leaf_id = f.index LEFT JOIN ledger_leafpayload d ON d.leaf_id = f.index
LEFT JOIN ledger_redaction b ON b.leaf_id = f.index LEFT JOIN ledger_redactionrequest q ON q.id = b.request_id
WHERE f.period_change_id IS NOT NULL AND f.index < %(size)s ORDER BY f.index
"""
DISTINCT = f"""
SELECT DISTINCT e.{{column}} FROM ledger_entry e JOIN ledger_leaf f ON f.entry_id = e.id AND f.index < %(size)s
WHERE {CHOSEN} {SINCE} ORDER BY 1
"""  # noqa: S608 - all parts are constants.


class Count(NamedTuple):
    """How many of the selected entries are below the checkpoint, and how many are younger."""

    sealed: int
    younger: int


def count(selection: Selection) -> Count:
    """Count the selected entries."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, selection.values())
        return Count(*cursor.fetchone())


def sources(selection: Selection) -> Iterator[str]:
    """Yield what the selected entries are about, each once."""
    yield from _each("source_ref", selection)


def scopes(selection: Selection) -> Iterator[str]:
    """Yield the scopes of the selected entries, each once."""
    yield from _each("scope", selection)


def leaves(selection: Selection, sizes: Sequence[int]) -> Iterator[bytes]:
    """Yield a record for each selected entry, each run of their scopes, each change of a period, and each whole
    subtree of the others, in order.

    ``sizes`` are those of the checkpoints: no subtree reaches over one, so that each head follows from what is before it.
    """
    read = partial(store.read_from, connection)
    ends = sorted(sizes)

    def hidden(at: int, stop: int) -> Iterator[bytes]:
        for end in [*ends[bisect_right(ends, at) : bisect_left(ends, stop)], stop]:
            for start, height, digest in cover(read, at, end):
                yield record.line({"from": str(start), "hash": digest.hex(), "height": height})
            at = end

    at = 0
    runs = _rows(RUN_LEAVES, selection, AT_ONCE, scopes=list(scopes(selection)))
    marks = _rows(PERIOD_LEAVES, selection, AT_ONCE)
    for row in heapq.merge(_rows(LEAVES, selection, AT_ONCE), runs, marks, key=itemgetter(0)):
        yield from hidden(at, row[0])
        yield _leaf(row)
        at = row[0] + 1
    yield from hidden(at, selection.sealed_size or 0)


def _leaf(row: Sequence[Any]) -> bytes:
    index, digest, salt, payload, asked_by, why, approved_by, redacted_at = row
    if approved_by is not None:
        redacted = {
            "approved_by": approved_by,
            "asked_by": asked_by,
            "at": redacted_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "why": why,
        }
        return record.line({"hash": bytes(digest).hex(), "leaf": str(index), "redacted": redacted})
    if salt is None or payload is None:
        raise store.SealsBroken(f"The sealed bytes, or the salt, of leaf {index} are gone.", leaf=index)
    return record.line({"entry": bytes(payload).decode(), "leaf": str(index), "salt": bytes(salt).hex()})


def _each(column: str, selection: Selection) -> Iterator[str]:
    for (value,) in _rows(DISTINCT.format(column=column), selection, MANY):
        yield value


def _rows(query: str, selection: Selection, at_once: int, **more: object) -> Iterator[tuple[Any, ...]]:
    with connection.chunked_cursor() as rows:
        rows.execute(query, selection.values() | more)
        while chunk := rows.fetchmany(at_once):
            yield from chunk
