"""The formats of public price sources: where each is asked for a currency, and where in its answer the price stands.

Each follows the public documentation of its source. What the answer says of the pair must be what was asked for, so that
nobody's euros are taken for dollars. Of exchanges it is the price of the last trade.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from payments.models import SourceKind
from payments.prices.reading import Unreadable, iso, member, price, require, unix


class Said(NamedTuple):
    """A price, and when it was so by the source's own clock, where it tells."""

    value: Decimal
    at: datetime | None


@dataclass(frozen=True)
class Format:
    """``path`` follows the source's address for a currency; ``read`` takes parsed JSON and the currency."""

    path: Callable[[str], str]
    read: Callable[[Any, str], Said]
    usual_address: str


def _kraken(found: Any, currency: str) -> Said:
    """``{"error": [], "result": {"XXBTZUSD": {"c": ["67000.10000", "0.1"], ...}}}``; it tells no time."""
    require(member(found, "error") == [], "Kraken reports an error.")
    result = member(found, "result")
    require(
        isinstance(result, dict)
        and len(result) == 1
        and set(result) <= {f"XXBTZ{currency}", f"XBT{currency}"},
        "The answer is about another pair.",
    )
    last = member(next(iter(result.values())), "c")
    return Said(price(_at(last, 0)), None)


def _coinbase(found: Any, currency: str) -> Said:
    """``{"price": "67000.10", "time": "2026-01-01T00:00:00.000000Z", "bid": ..., ...}``; the path names the pair."""
    return Said(price(member(found, "price")), iso(member(found, "time")))


def _coinbase_spot(found: Any, currency: str) -> Said:
    """``{"data": {"amount": "67000.10", "base": "BTC", "currency": "USD"}}``; it tells no time."""
    pair = (member(found, "data", "base"), member(found, "data", "currency"))
    require(pair == ("BTC", currency), "The answer is about another pair.")
    return Said(price(member(found, "data", "amount")), None)


def _bitstamp(found: Any, currency: str) -> Said:
    """``{"timestamp": "1767225600", "last": "67000", "bid": ..., "ask": ..., ...}``; the path names the pair."""
    return Said(price(member(found, "last")), unix(member(found, "timestamp")))


def _bitfinex(found: Any, currency: str) -> Said:
    """``[["tBTCUSD", BID, BID_SIZE, ASK, ASK_SIZE, CHANGE, CHANGE_RELATIVE, LAST_PRICE, ...]]``; it tells no time."""
    row = _at(found, 0)
    require(_at(row, 0) == f"tBTC{currency}", "The answer is about another pair.")
    return Said(price(_at(row, 7), is_number=True), None)


def _coingecko(found: Any, currency: str) -> Said:
    """``{"bitcoin": {"usd": 67000.1, "last_updated_at": 1767225600}}``."""
    at = unix(member(found, "bitcoin", "last_updated_at"), is_number=True)
    return Said(price(member(found, "bitcoin", currency.lower()), is_number=True), at)


def _file(found: Any, currency: str) -> Said:
    """``{"base": "BTC", "currency": "PKR", "price": "28100000.00", "time": "2026-01-01T00:00:00Z"}``: ours, for a file."""
    pair = (member(found, "base"), member(found, "currency"))
    require(pair == ("BTC", currency), "The file is about another pair.")
    return Said(price(member(found, "price")), iso(member(found, "time")))


def _at(found: Any, place: int) -> Any:
    if not isinstance(found, list) or len(found) <= place:
        raise Unreadable("not_the_format", "It has no list where its format has one, or a shorter one.")
    return found[place]


K = SourceKind
FORMATS: dict[str, Format] = {
    K.KRAKEN: Format(lambda c: f"/0/public/Ticker?pair=XBT{c}", _kraken, "https://api.kraken.com"),
    K.COINBASE: Format(lambda c: f"/products/BTC-{c}/ticker", _coinbase, "https://api.exchange.coinbase.com"),
    K.COINBASE_SPOT: Format(lambda c: f"/v2/prices/BTC-{c}/spot", _coinbase_spot, "https://api.coinbase.com"),
    K.BITSTAMP: Format(lambda c: f"/api/v2/ticker/btc{c.lower()}/", _bitstamp, "https://www.bitstamp.net"),
    K.BITFINEX: Format(lambda c: f"/v2/tickers?symbols=tBTC{c}", _bitfinex, "https://api-pub.bitfinex.com"),
    K.COINGECKO: Format(
        lambda c: (
            f"/api/v3/simple/price?ids=bitcoin&vs_currencies={c.lower()}&include_last_updated_at=true&precision=full"
        ),
        _coingecko,
        "https://api.coingecko.com",
    ),
    K.FILE: Format(lambda c: "", _file, ""),
}
