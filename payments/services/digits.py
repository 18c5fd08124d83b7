"""Six digits that prove that a telephone, or a person, is there: drawn, hashed under a key, and compared."""

import hmac
import secrets
from datetime import timedelta

from django.conf import settings

LENGTH = 6
TERM = timedelta(minutes=10)


def draw() -> str:
    """Return new digits."""
    return f"{secrets.randbelow(10**LENGTH):0{LENGTH}}"


def hash_of(subject: str, code: str) -> bytes:
    """Return a hash of the digits for one subject, under a key that the database lacks: a million codes are soon tried."""
    typed = "".join(code.split())[:20]
    return hmac.digest(settings.GOVPAY_IDENTITY_KEY, f"{subject}\n{typed}".encode(), "sha256")


def are(kept: bytes, subject: str, code: str) -> bool:
    """Say whether the digits that somebody typed are those of the hash that was kept."""
    return hmac.compare_digest(bytes(kept), hash_of(subject, code))
