"""OpenTimestamps proofs (``.ots``): from a file, by appended and prepended bytes and hashes, to a Bitcoin block's header."""

from collections.abc import Sequence
from dataclasses import dataclass

MAGIC = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94"
VERSION = b"\x01"
SHA256 = b"\x08"
APPEND, PREPEND = b"\xf0", b"\xf1"
ATTESTATION = b"\x00"
BITCOIN_HEADER = bytes.fromhex("0588960d73d71901")
# Readers refuse longer arguments.
MOST_BYTES = 4096


class Unprovable(ValueError):
    """The tx does not hold the commitment, or is too long for the format."""


@dataclass(frozen=True)
class Buried:
    """A tx in a block: its bytes without witnesses, its branch from its txid up, and the block's height.

    Each step of the branch is the other hash, and whether that one is on the left.
    """

    tx: bytes
    branch: Sequence[tuple[bool, bytes]]
    height: int


def serialize(file_sha256: bytes, buried: Buried) -> bytes:
    """Return the proof that a file with this hash existed before the block; raise Unprovable.

    The tx holds the hash as it is. Hashes are in the order in which they are computed, not as they are displayed.
    """
    before, found, after = buried.tx.partition(file_sha256)
    if not found or max(len(before), len(after)) + len(file_sha256) > MOST_BYTES:
        raise Unprovable("The tx does not hold the hash within reach of the format.")
    steps = [PREPEND + _bytes(before), APPEND + _bytes(after), SHA256, SHA256]
    for is_left, other in buried.branch:
        steps += [(PREPEND if is_left else APPEND) + _bytes(other), SHA256, SHA256]
    attestation = ATTESTATION + BITCOIN_HEADER + _bytes(_number(buried.height))
    return MAGIC + VERSION + SHA256 + file_sha256 + b"".join(steps) + attestation


def _bytes(value: bytes) -> bytes:
    return _number(len(value)) + value


def _number(value: int) -> bytes:
    """Return an unsigned LEB128."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _number(rest) if rest else bytes([low])
