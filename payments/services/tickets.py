"""Makes and reads the secrets that people are given on paper or in a message: 130 bits that can be typed from either.

Only the hash of one is kept. The letters are Crockford's: no I, L, O or U, which people mistake for others.
"""

import hashlib
import secrets

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 26
_READ_AS = str.maketrans(
    {"O": "0", "I": "1", "L": "1", "-": None, " ": None, "\t": None, "\n": None, "\r": None}
)


def make() -> str:
    """Return a new secret in groups of letters."""
    text = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    return "-".join(text[at : at + 5] for at in range(0, LENGTH, 5))


def digest(text: str) -> bytes:
    """Return the hash that is kept of a secret, however it was typed; of what is none, a hash that nothing has."""
    plain = text[:100].upper().translate(_READ_AS)
    is_secret = len(plain) == LENGTH and set(plain) <= set(LETTERS)
    return hashlib.sha256(f"govpay-ticket-1\n{plain}".encode()).digest() if is_secret else b""
