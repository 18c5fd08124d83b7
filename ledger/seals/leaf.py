"""Leaves of the tree: a secret salt before an entry's bytes, so that nobody finds an amount by guessing its hash.

Salt and bytes are kept beside the hash, not in it. Without them the tree is as whole as before, and what they said can
no longer be guessed: that is how a leaf is blacked out.
"""

import secrets

from ledger.seals import tree

SALT_BYTES = 32


def new_salt() -> bytes:
    """Return 32 bytes that nobody can guess."""
    return secrets.token_bytes(SALT_BYTES)


def digest(salt: bytes, payload: bytes) -> bytes:
    """Return the leaf's hash: RFC 6962's, of the salt followed by the bytes."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"A salt has {SALT_BYTES} bytes, not {len(salt)}.")
    return tree.leaf_hash(salt + payload)
