"""Leaves of the tree: a secret salt before an entry's bytes, so that nobody finds an amount by guessing its hash.

Salt and bytes are kept beside the hash, not in it. Without them the tree is as whole as before, and what they said can
no longer be guessed: that is how a leaf is blacked out.

Bytes of version 1 are hashed at once. Those of version 2 are pieces, the heading and each line: a tree of their own, each
piece under a salt that follows from the leaf's, whose head is what the leaf holds. Somebody may then be shown one line, its
salt and its path, and learns nothing of the others. What is hashed differs in length, so that neither passes for the other.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.seals import tree

SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of an entry, with what shows that the leaf holds it: its salt, and its path among ``count`` pieces."""

    index: int
    count: int
    data: bytes
    salt: bytes
    path: list[bytes]


def new_salt() -> bytes:
    """Return 32 bytes that nobody can guess."""
    return secrets.token_bytes(SALT_BYTES)


def digest(salt: bytes, payload: bytes) -> bytes:
    """Return the leaf's hash, as RFC 6962 has it: of salt and bytes, or of the head over the pieces; raise ValueError."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"A salt has {SALT_BYTES} bytes, not {len(salt)}.")
    if not payload.endswith(b"\n"):
        return tree.leaf_hash(salt + payload)
    return tree.leaf_hash(_levels(_hashes(salt, payload))[-1][0])


def show(salt: bytes, payload: bytes, index: int) -> Piece:
    """Return a piece of an entry in version 2, 0 for the heading; raise ValueError for bytes of version 1."""
    if not payload.endswith(b"\n"):
        raise ValueError("An entry of version 1 is shown whole or not at all.")
    pieces = payload[:-1].split(b"\n")
    levels = _levels(_hashes(salt, payload))
    path, at = [], index
    for level in levels[:-1]:
        if at ^ 1 < len(level):
            path.append(level[at ^ 1])
        at >>= 1
    return Piece(index, len(pieces), pieces[index], piece_salt(salt, index), path)


def piece_salt(salt: bytes, index: int) -> bytes:
    """Return the salt of a piece: HMAC-SHA256 of its number, 8 bytes, under the leaf's salt."""
    return hmac.digest(salt, index.to_bytes(8, "big"), "sha256")


def _hashes(salt: bytes, payload: bytes) -> list[bytes]:
    pieces = payload[:-1].split(b"\n")
    return [tree.leaf_hash(piece_salt(salt, index) + piece) for index, piece in enumerate(pieces)]


def _levels(hashes: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Return the tree's levels from the leaves up: neighbours are paired, and one that is left over goes up as it is."""
    levels = [hashes]
    while len(hashes) > 1:
        left = [hashes[-1]] if len(hashes) % 2 else []
        hashes = [tree.node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes) - 1, 2)] + left
        levels.append(hashes)
    return levels
