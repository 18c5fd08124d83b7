"""Reads and writes amounts of money as integer satoshis, by a grammar that leaves nothing to guess."""

import re
from decimal import Decimal
from typing import NoReturn

from govpay import errors
from payments.onchain import fee

COIN = 100_000_000
MAX_SAT = 21_000_000 * COIN

_SAT = re.compile(r"0|[1-9][0-9]*")
_BTC = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_NEGATIVE = re.compile(r"-[0-9]+(?:\.[0-9]+)?")
# MAX_SAT has sixteen digits and 21 million has eight; a longer text is too large before it is a number, so
# that nobody makes int() chew on a megabyte of digits.
_MAX_SAT_DIGITS = 16
_MAX_BTC_DIGITS = 8

_MESSAGES = {
    "amount_missing": "There is no amount.",
    "amount_malformed": "The amount must be plain ASCII digits, without sign, space, separator or exponent.",
    "amount_fraction": "The amount has a fraction finer than a satoshi.",
    "amount_negative": "The amount is negative.",
    "amount_zero": "The amount is zero.",
    "amount_too_large": "The amount is more than all the money there is.",
    "amount_dust": "The amount is below what the network relays to this kind of address.",
}


class InvalidAmount(errors.GovPayError):
    """The amount breaks a rule, named in ``details['rule']``; the text itself is never repeated."""

    code = "invalid_amount"
    http_status = 422


def _refuse(rule: str, **details: int) -> NoReturn:
    raise InvalidAmount(_MESSAGES[rule], rule=rule, **details)


def parse_sat(text: str) -> int:
    """Read satoshis from text: ``0`` or ASCII digits without a leading zero, at most MAX_SAT.

    Raises InvalidAmount (missing, malformed, negative, fraction, too_large). Zero is a number here and an
    amount to refuse in check_amount.
    """
    if not isinstance(text, str):
        _refuse("amount_malformed")
    if _SAT.fullmatch(text) is None:
        if _BTC.fullmatch(text) is not None:
            _refuse("amount_fraction")
        _refuse_text(text)
    if len(text) > _MAX_SAT_DIGITS or int(text) > MAX_SAT:
        _refuse("amount_too_large")
    return int(text)


def parse_btc(text: str) -> int:
    """Read bitcoin from text as satoshis: ASCII digits and at most eight fraction digits.

    Raises InvalidAmount (missing, malformed, negative, fraction, too_large).
    """
    if not isinstance(text, str):
        _refuse("amount_malformed")
    match = _BTC.fullmatch(text)
    if match is None:
        _refuse_text(text)
    whole, fraction = match[1], match[2] or ""
    if len(whole) > _MAX_BTC_DIGITS:
        _refuse("amount_too_large")
    if len(fraction) > 8:
        _refuse("amount_fraction")
    sat = int(whole) * COIN + int(fraction.ljust(8, "0"))
    if sat > MAX_SAT:
        _refuse("amount_too_large")
    return sat


def _refuse_text(text: str) -> NoReturn:
    if text == "":
        _refuse("amount_missing")
    _refuse("amount_negative" if _NEGATIVE.fullmatch(text) else "amount_malformed")


def sat_from_json(value: object) -> int:
    """Read satoshis from a JSON value: an integer or its text; never a boolean, never a number with a point.

    Raises InvalidAmount as parse_sat does.
    """
    if value is None:
        _refuse("amount_missing")
    if isinstance(value, str):
        return parse_sat(value)
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse("amount_malformed")
    if value < 0:
        _refuse("amount_negative")
    if value > MAX_SAT:
        _refuse("amount_too_large")
    return value


def sat_from_node(btc: Decimal) -> int:
    """Convert an amount in the node's JSON to satoshis; raise ValueError unless it is exact."""
    sat = btc.scaleb(8)
    if sat != sat.to_integral_value():
        raise ValueError("The node reported an amount finer than a satoshi.")
    return int(sat)


def format_btc(sat: int) -> str:
    """Write satoshis as bitcoin with all eight fraction digits; parse_btc reads the same number back."""
    sign, magnitude = ("-", -sat) if sat < 0 else ("", sat)
    return f"{sign}{magnitude // COIN}.{magnitude % COIN:08d}"


def check_amount(sat: int, script_pubkey: bytes) -> None:
    """Refuse an amount that cannot be paid to the script: zero, negative, above all money, or dust.

    Raises InvalidAmount; for dust ``details['dust_sat']`` is the least amount that would do.
    """
    if sat < 0:
        _refuse("amount_negative")
    if sat == 0:
        _refuse("amount_zero")
    if sat > MAX_SAT:
        _refuse("amount_too_large")
    dust_sat = fee.dust_sat(script_pubkey)
    if sat < dust_sat:
        _refuse("amount_dust", dust_sat=dust_sat)
