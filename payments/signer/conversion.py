"""What money is in satoshis at a price, in exact integers: one arithmetic for who pays, who signs and who checks.

A price is that of one bitcoin in major units of a currency, given in hundred-millionths of them; ``scale`` is how many
digits its minor units have (ISO 4217). Halves go to the even neighbour.
"""

import re

COIN = 100_000_000
PRICE_UNIT = 100_000_000
_PRICE = re.compile(r"(0|[1-9][0-9]{0,11})\.([0-9]{8})")


def half_even(numerator: int, denominator: int) -> int:
    """Return the quotient of two integers, the second positive, rounded half to even."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


def to_sat(amount_minor: int, price: int, scale: int) -> int:
    """Return the satoshis that an amount in minor units is at a price."""
    return half_even(amount_minor * COIN * PRICE_UNIT, price * 10**scale)


def to_minor(amount_sat: int, price: int, scale: int) -> int:
    """Return what satoshis are worth at a price, in minor units."""
    return half_even(amount_sat * price * 10**scale, COIN * PRICE_UNIT)


def price_of(text: str) -> int | None:
    """Return the price that a text with exactly eight decimals says, such as ``28100000.00000000``; None for any other."""
    match = _PRICE.fullmatch(text)
    found = int(match[1] + match[2]) if match else 0
    return found or None
