"""The Merkle tree of RFC 6962, section 2.1: heads and proofs of a list that only grows.

The list is read through ``Read``: besides leaves it keeps the hash of each whole subtree of 256, 65,536, ... leaves. A
head or a proof then reads a few hundred hashes whatever the list's length, and a list that grows by n leaves costs n.
"""

import hashlib
from collections.abc import Callable, Sequence

# A subtree of level l has 256 ** l leaves.
LEVEL_BITS = 8
FANOUT = 1 << LEVEL_BITS
EMPTY = hashlib.sha256().digest()

# Read(level, first, last): the hashes of the subtrees first .. last - 1 of a level, whole ones only; leaves are level 0.
Read = Callable[[int, int, int], Sequence[bytes]]


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the head of a power of two of neighbours."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def head(read: Read, size: int) -> bytes:
    """Return the head of the first ``size`` leaves."""
    return _subtree(read, 0, size) if size else EMPTY


def grown(level: int, old_size: int, new_size: int) -> range:
    """Return which subtrees of a level are whole in the larger list and were not in the smaller."""
    bits = LEVEL_BITS * level
    return range(old_size >> bits, new_size >> bits)


class Frontier:
    """The head of a list of which only the right edge is kept: leaves come in order, one after another."""

    def __init__(self) -> None:
        self.size = 0
        # The heads of the whole subtrees that the list is made of, the largest first.
        self.edge: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Take the next leaf's hash."""
        self.edge.append(leaf)
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            right, left = self.edge.pop(), self.edge.pop()
            self.edge.append(node_hash(left, right))

    def head(self) -> bytes:
        """Return the head of all leaves so far."""
        if not self.edge:
            return EMPTY
        found = self.edge[-1]
        for left in self.edge[-2::-1]:
            found = node_hash(left, found)
        return found


def prove_inclusion(read: Read, index: int, size: int) -> list[bytes]:
    """Return the audit path of a leaf in the first ``size`` leaves (section 2.1.1); raise ValueError."""
    if not 0 <= index < size:
        raise ValueError(f"There is no leaf {index} in a list of {size}.")
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(_subtree(read, middle, stop))
            stop = middle
        else:
            path.append(_subtree(read, start, middle))
            start = middle
    return path[::-1]


def prove_consistency(read: Read, old_size: int, new_size: int) -> list[bytes]:
    """Return the proof that the smaller list begins the larger one (section 2.1.2); raise ValueError."""
    if not 0 <= old_size <= new_size:
        raise ValueError(f"A list of {old_size} is not the beginning of one of {new_size}.")
    if old_size in (0, new_size):
        return []
    path: list[bytes] = []
    start, stop = 0, new_size
    while old_size != stop:
        middle = start + _split(stop - start)
        if old_size <= middle:
            path.append(_subtree(read, middle, stop))
            stop = middle
        else:
            path.append(_subtree(read, start, middle))
            start = middle
    if start:
        path.append(_subtree(read, start, stop))
    return path[::-1]


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Tell whether the path leads from the leaf at this index to the head of so many leaves (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    number, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if number & 1 or number == last:
            found = node_hash(step, found)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = node_hash(found, step)
        number, last = number >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Tell whether the proof shows that the old head's list begins the new head's (RFC 9162, 2.1.4.2)."""
    if not 0 <= old_size <= new_size:
        return False
    if old_size == new_size:
        return not path and old_root == new_root
    if old_size == 0:
        return not path and old_root == EMPTY
    steps = list(path)
    # A smaller list that is a whole subtree is its own first step.
    if old_size & (old_size - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        return False
    number, last = old_size - 1, new_size - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            new = node_hash(new, step)
        number, last = number >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def _split(width: int) -> int:
    """Return the largest power of two below the width."""
    return 1 << (width - 1).bit_length() - 1


def _subtree(read: Read, start: int, stop: int) -> bytes:
    """Return the head of neighbours that are a node of the tree."""
    width = stop - start
    if width & (width - 1):
        middle = start + _split(width)
        return node_hash(_subtree(read, start, middle), _subtree(read, middle, stop))
    level, rest = divmod(width.bit_length() - 1, LEVEL_BITS)
    first = start >> (LEVEL_BITS * level)
    return fold(read(level, first, first + (1 << rest)))
