"""The codes of vouchers: 60 random bits and a check character, which can be typed; only a keyed hash of one is kept."""

import hmac
import secrets

from django.conf import settings

from govpay.errors import InvalidInput
from payments.services.tickets import LETTERS

LENGTH = 12
_VALUES = {letter: value for value, letter in enumerate(LETTERS)}
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None, "\t": None})


class CodeMistyped(InvalidInput):
    """The letters are not a voucher's, or their check character does not fit; nothing is counted."""

    code = "code_mistyped"


def make() -> str:
    """Return a new code in groups of four: 12 letters by the system's randomness, and the check character."""
    plain = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    text = plain + check_character(plain)
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def read(text: str) -> str:
    """Return a code as it was made, however it was typed; raise CodeMistyped."""
    plain = text[:40].upper().translate(_READ_AS)
    is_code = len(plain) == LENGTH + 1 and all(letter in _VALUES for letter in plain)
    if not is_code or check_character(plain[:-1]) != plain[-1]:
        raise CodeMistyped.of(
            "code", CodeMistyped.code, "This is no code of a voucher: look at every letter and type it again."
        )
    return plain


def digest(plain: str) -> bytes:
    """Return what is kept of a code that ``read`` returned: a hash under a key that the database lacks."""
    return hmac.digest(settings.GOVPAY_IDENTITY_KEY, f"voucher-code\n{plain}".encode(), "sha256")


def check_character(plain: str) -> str:
    """Return the letter that makes one wrong letter, and nearly every swap of two neighbors, known (Luhn mod N, N = 32)."""
    total = 0
    for place, letter in enumerate(reversed(plain)):
        doubled = _VALUES[letter] * (2 - place % 2)
        total += doubled // len(LETTERS) + doubled % len(LETTERS)
    return LETTERS[-total % len(LETTERS)]
