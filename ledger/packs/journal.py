"""The sealed entries of a pack, in the order of the tree, and hashes in the place of all others."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
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
SELECT f.index, f.hash, s.salt, d.payload FROM ledger_leaf f JOIN ledger_entry e ON e.id = f.entry_id
LEFT JOIN ledger_leafsalt s ON s.leaf_id = f.index LEFT JOIN ledger_leafpayload d ON d.leaf_id = f.index
WHERE {CHOSEN} {SINCE} AND f.index < %(size)s ORDER BY f.index
"""  # noqa: S608 - all parts are constants.
COUNT = f"""
SELECT count(f.index), count(*) - count(f.index)
FROM ledger_entry e LEFT JOIN ledger_leaf f ON f.entry_id = e.id AND f.index < %(size)s WHERE {CHOSEN} {SINCE}
"""  # noqa: S608 - all parts are constants.
SOURCES = f"""
SELECT DISTINCT e.source_ref FROM ledger_entry e JOIN ledger_leaf f ON f.entry_id = e.id AND f.index < %(size)s
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
    for (source,) in _rows(SOURCES, selection, MANY):
        yield source


def leaves(selection: Selection, sizes: Sequence[int]) -> Iterator[bytes]:
    """Yield a record for each selected entry, and for each whole subtree of the others, in the order of the tree.

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
    for row in _rows(LEAVES, selection, AT_ONCE):
        yield from hidden(at, row[0])
        yield _leaf(row)
        at = row[0] + 1
    yield from hidden(at, selection.sealed_size or 0)


def _leaf(row: Sequence[Any]) -> bytes:
    index, _digest, salt, payload = row
    return record.line({"entry": bytes(payload).decode(), "leaf": str(index), "salt": bytes(salt).hex()})


def _rows(query: str, selection: Selection, at_once: int) -> Iterator[tuple[Any, ...]]:
    with connection.chunked_cursor() as rows:
        rows.execute(query, selection.values())
        while chunk := rows.fetchmany(at_once):
            yield from chunk
