"""Reads what sources say: JSON without floats, and prices and times by grammars that leave nothing to guess."""

import json
import re
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

# Twelve digits before the point and eight after it, as a price is kept; what a source says more exactly is rounded.
PLACES = Decimal("1e-8")
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_PRICE = re.compile(r"(0|[1-9][0-9]{0,11})(\.[0-9]{1,24})?")
_NEGATIVE = re.compile(r"-[0-9]+(\.[0-9]+)?")
_UNIX = re.compile(r"[0-9]{9,11}(\.[0-9]{1,9})?")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


class Unreadable(Exception):
    """What a source said is not what its format says; ``fault`` is a stable code, the text never repeats the answer."""

    def __init__(self, fault: str, message: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message


class Number(str):
    """The text of a number in JSON, as it was written: no float is ever made of it."""

    __slots__ = ()


def parse(body: bytes) -> Any:
    """Return JSON in UTF-8 with its numbers as ``Number``; raise Unreadable for anything else, and for NaN and infinity."""
    try:
        return json.loads(
            body.decode(),
            parse_float=Number,
            parse_int=Number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_once,
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable("not_json", "It answered something that is not JSON.") from error


def price(text: Any, *, is_number: bool = False) -> Decimal:
    """Return a price in major units, to eight places by half-even; raise Unreadable.

    ``is_number`` says whether the format has a number of JSON there, or a text. Neither has a sign or an exponent.
    """
    if type(text) is not (Number if is_number else str):
        raise Unreadable("price_missing", "It has no price where its format has one.")
    if _NEGATIVE.fullmatch(text):
        raise Unreadable("price_negative", "The price is negative.")
    if _PRICE.fullmatch(text) is None:
        raise Unreadable(
            "price_malformed", "The price is not up to 12 digits, with a point and up to 24 more at most."
        )
    found = Decimal(text).quantize(PLACES, context=EXACT)
    if not found:
        raise Unreadable("price_zero", "The price is zero.")
    return found


def unix(text: Any, *, is_number: bool = False) -> datetime:
    """Return the time of Unix seconds; raise Unreadable."""
    if type(text) is not (Number if is_number else str) or _UNIX.fullmatch(text) is None:
        raise _no_time()
    return datetime.fromtimestamp(int(text.partition(".")[0]), UTC)


def iso(text: Any) -> datetime:
    """Return the time of ISO 8601 with its zone; raise Unreadable."""
    if type(text) is not str or _ISO.fullmatch(text) is None:
        raise _no_time()
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _no_time() from error


def member(found: Any, *names: str) -> Any:
    """Return what lies under these names, one inside the other; raise Unreadable."""
    for name in names:
        if not isinstance(found, dict) or name not in found:
            raise Unreadable("not_the_format", f"It has no {name!r} where its format has one.")
        found = found[name]
    return found


def require(is_so: bool, message: str) -> None:
    """Raise Unreadable unless an answer is as its format says."""
    if not is_so:
        raise Unreadable("not_the_format", message)


def text_of(value: Decimal | None) -> str | None:
    """Write a price without exponent and without zeros at its end."""
    return None if value is None else f"{value.normalize(EXACT):f}"


def grouped(value: Decimal | str | None, currency: str = "") -> str:
    """Write a price for people: grouped by thousands, with its currency; nothing of none."""
    if value is None:
        return ""
    whole, _, rest = (text_of(Decimal(value)) or "").partition(".")
    return f"{int(whole):,}{'.' if rest else ''}{rest} {currency}".rstrip()


def _no_time() -> Unreadable:
    return Unreadable("time_malformed", "It has no time where its format has one.")


def _refuse_constant(text: str) -> None:
    raise Unreadable("price_malformed", f"It says {text}, which is no number of JSON.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("A key is there twice.")
    return found
