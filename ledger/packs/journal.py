"""The sealed entries of a pack, in the order of the tree, and hashes in the place of all others."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any

from django.db import connection

from ledger.packs import record
from ledger.packs.cover import cover
from ledger.seals import store, tree

# An entry may have a line for each of 500 people, so that few of them fill the memory.
AT_ONCE = 20
MANY = 5_000
LEAVES = """
SELECT f.index, f.hash, s.salt, d.payload, q.asked_by, q.why, r.approved_by, r.redacted_at
FROM pack_leaf p JOIN ledger_leaf f ON f.index = p.index
LEFT JOIN ledger_leafsalt s ON s.leaf_id = f.index LEFT JOIN ledger_leafpayload d ON d.leaf_id = f.index
LEFT JOIN ledger_redaction r ON r.leaf_id = f.index LEFT JOIN ledger_redactionrequest q ON q.id = r.request_id
ORDER BY f.index
"""
SIZES = """
SELECT s.size FROM ledger_checkpoint c JOIN ledger_seal s ON s.id = c.seal_id WHERE s.size <= %(size)s ORDER BY s.size
"""
# What is hidden is cut where a leaf is shown, and where a checkpoint ends. Subtrees of a level are needed only beside such a
# place, inside the one of the next level that it is in.
BESIDE_A_CUT = """
SELECT h.index, h.hash FROM (
    SELECT DISTINCT index >> %(bits)s AS above FROM (
        SELECT index FROM pack_leaf UNION ALL
        SELECT s.size FROM ledger_checkpoint c JOIN ledger_seal s ON s.id = c.seal_id WHERE s.size <= %(size)s
    ) cut
) a JOIN {hashes} h ON h.index >= a.above << 8 AND h.index < (a.above + 1) << 8 {where} ORDER BY h.index
"""
OF_LEAVES = BESIDE_A_CUT.format(hashes="ledger_leaf", where="")
OF_SUBTREES = BESIDE_A_CUT.format(hashes="ledger_subtree", where="AND h.level = %(level)s")


def leaves(size: int) -> Iterator[bytes]:
    """Yield a record for each chosen leaf below a size, and for each whole subtree of the others, in order.

    No subtree reaches over the end of a checkpoint, so that each head follows from what is before it.
    """
    hashes = _Hashes(size)
    sizes = (end for (end,) in _rows(SIZES, {"size": size}, MANY))
    end = next(sizes, size)

    def hidden(at: int, stop: int) -> Iterator[bytes]:
        nonlocal end
        while at < stop:
            while end <= at:
                end = next(sizes, size)
            for start, height, digest in cover(hashes.read, at, min(end, stop)):
                yield record.line({"from": str(start), "hash": digest.hex(), "height": height})
            at = min(end, stop)

    at = 0
    for row in _rows(LEAVES, {}, AT_ONCE):
        yield from hidden(at, row[0])
        yield _leaf(row)
        at = row[0] + 1
    yield from hidden(at, size)


class _Hashes:
    """The hashes that hidden subtrees are made of: a stream for each level of the tree, read from left to right, once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.levels: dict[int, Iterator[tuple[Any, ...]]] = {}

    def read(self, level: int, first: int, last: int) -> Sequence[bytes]:
        """Return hashes as ``tree.Read`` wants them, further right than those before; raise SealsBroken."""
        if level not in self.levels:
            values = {"size": self.size, "level": level, "bits": tree.LEVEL_BITS * (level + 1)}
            self.levels[level] = _rows(OF_SUBTREES if level else OF_LEAVES, values, MANY)
        found = []
        for wanted in range(first, last):
            index, digest = -1, b""
            while index < wanted:
                index, digest = next(self.levels[level], (last, b""))
            if index != wanted:
                raise store.SealsBroken(f"The tree lacks hash {wanted} of level {level}.", level=level)
            found.append(bytes(digest))
        return found


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


def _rows(query: str, values: Mapping[str, int], at_once: int) -> Iterator[tuple[Any, ...]]:
    with connection.chunked_cursor() as rows:
        rows.execute(query, values)
        while chunk := rows.fetchmany(at_once):
            yield from chunk
