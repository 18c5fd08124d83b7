"""Turns a national id into the keyed hash that stands for the person; the id itself is never stored (R-02)."""

import hmac
from collections.abc import Callable

from django.conf import settings

from govpay.errors import InvalidInput

LEAST, MOST = 5, 20
Hash = Callable[[str], bytes]
MISSING = "There is no national id."
MALFORMED = (
    f"A national id has {LEAST} to {MOST} plain letters and digits; spaces, hyphens and dots do not count."
)


def normalize(national_id: str) -> str:
    """Return the id in capitals without spaces, hyphens and dots, so that one person has one spelling.

    Raises InvalidInput (``national_id_missing``, ``national_id_malformed`` in ``details['rule']``); the id is
    not repeated. Only ASCII is taken: a letter that merely looks the same would be a second person.
    """
    plain = national_id.replace("-", "").replace(" ", "").replace(".", "")
    if plain.isascii() and plain.isalnum() and LEAST <= len(plain) <= MOST:
        return plain.upper()
    rule, message = ("malformed", MALFORMED) if plain else ("missing", MISSING)
    code = f"national_id_{rule}"
    raise InvalidInput(
        message, rule=code, errors=[{"row": 0, "column": "national_id", "code": code, "message": message}]
    )


def identity_hash(normalized: str) -> bytes:
    """Return the 32 bytes that stand for a normalized id: HMAC-SHA256 under GOVPAY_IDENTITY_KEY."""
    return hasher()(normalized)


def hasher() -> Hash:
    """Return ``identity_hash`` with its key read once, for many ids."""
    key = settings.GOVPAY_IDENTITY_KEY
    return lambda normalized: hmac.digest(key, normalized.encode(), "sha256")


def hash_of(text: str) -> bytes:
    """Return the keyed hash of an id as somebody typed it; nothing for what is no id."""
    try:
        return identity_hash(normalize(text))
    except InvalidInput:
        return b""
