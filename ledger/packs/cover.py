"""Covers ranges of the tree with as few hashes as there are: what a pack shows of the entries that it does not show."""

from collections.abc import Iterator

from ledger.seals import tree
from ledger.seals.tree import Read


def cover(read: Read, start: int, stop: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield start, height and hash of the largest subtrees of ``2 ** height`` leaves that make up the range, in order.

    Neighbours that are kept on one level of the tree are read at once: some five reads however long the range is.
    """
    pieces = list(_aligned(start, stop))
    while pieces:
        level = pieces[0][1] // tree.LEVEL_BITS
        count = next(
            (n for n, (_, height) in enumerate(pieces) if height // tree.LEVEL_BITS != level), len(pieces)
        )
        bits = level * tree.LEVEL_BITS
        first, last = pieces[0][0], pieces[count - 1][0] + (1 << pieces[count - 1][1])
        hashes = read(level, first >> bits, last >> bits)
        for at, height in pieces[:count]:
            offset = (at - first) >> bits
            yield at, height, tree.fold(hashes[offset : offset + (1 << height - bits)])
        del pieces[:count]


def _aligned(start: int, stop: int) -> Iterator[tuple[int, int]]:
    while start < stop:
        height = (stop - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        yield start, height
        start += 1 << height
