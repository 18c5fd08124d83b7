"""Account numbers of ISO 13616: their grammar and check digits, by the standard's MOD 97-10."""

import re

from govpay.errors import InvalidInput

_GRAMMAR = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_GAPS = str.maketrans("", "", " \t-")
# Where a program's own country says how long they are, one of another length is refused at once.
LENGTHS = {"PK": 24, "SV": 28, "DE": 22, "GB": 22, "FR": 27, "ES": 24, "AE": 23, "SA": 24}


class InvalidIban(InvalidInput):
    """The text is no account number of ISO 13616; ``details["rule"]`` says which rule it breaks."""

    code = "invalid_iban"


def normalize(text: str) -> str:
    """Return an account number in capitals without gaps; raise InvalidIban with the rule that it breaks.

    Letters count 10 to 35, the first four characters go to the end, and the number must leave 1 by 97 (ISO 7064).
    """
    found = text[:60].translate(_GAPS).upper()
    if not found:
        raise _refused("iban_missing", "There is no account number.")
    if not found.isascii() or _GRAMMAR.fullmatch(found) is None:
        raise _refused(
            "iban_malformed", "An IBAN has two letters, two digits, and 11 to 30 letters and digits."
        )
    wanted = LENGTHS.get(found[:2])
    if wanted is not None and len(found) != wanted:
        raise _refused("iban_length", f"An IBAN of {found[:2]} has {wanted} characters, not {len(found)}.")
    if (
        not 2 <= int(found[2:4]) <= 98
        or int("".join(str(int(c, 36)) for c in found[4:] + found[:4])) % 97 != 1
    ):
        raise _refused("iban_check_digits", "The check digits do not fit: a character is wrong or swapped.")
    return found


def masked(iban: str) -> str:
    """Return an account number of which country, check digits and the last four characters can be read."""
    return f"{iban[:4]}…{iban[-4:]}"


def _refused(rule: str, message: str) -> InvalidIban:
    error = InvalidIban.of("iban", rule, message)
    error.details["rule"] = rule
    return error
