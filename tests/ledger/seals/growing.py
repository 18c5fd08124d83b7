"""A list in memory that keeps what a tree's reader needs, and a naive tree to compare with."""

import hashlib
from collections.abc import Sequence

from ledger.seals import tree


class Growing:
    """Leaves and the hashes of whole subtrees, kept the way the sealer keeps them; ``read`` counts what it gives."""

    def __init__(self) -> None:
        self.levels: list[list[bytes]] = [[]]
        self.given = 0

    @property
    def size(self) -> int:
        return len(self.levels[0])

    def read(self, level: int, first: int, last: int) -> Sequence[bytes]:
        found = self.levels[level][first:last]
        assert len(found) == last - first
        self.given += len(found)
        return found

    def add(self, leaves: Sequence[bytes]) -> None:
        old, level = self.size, 0
        self.levels[0] += leaves
        while whole := tree.grown(level := level + 1, old, self.size):
            if len(self.levels) == level:
                self.levels.append([])
            self.levels[level] += [
                tree.fold(self.read(level - 1, i * tree.FANOUT, (i + 1) * tree.FANOUT)) for i in whole
            ]


def naive_head(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962, section 2.1, word by word, over hashes of leaves."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_head(leaves[:split]) + naive_head(leaves[split:])).digest()
