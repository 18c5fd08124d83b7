"""Three exchanges on loopback, and a rule and sources that two people set."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from payments.models import PriceRule, SourceKind
from payments.prices import watch
from tests import factories
from tests.payments.prices.exchanges import Exchange

KINDS = (SourceKind.KRAKEN, SourceKind.COINBASE, SourceKind.BITSTAMP)
PRICES = ("67000.00", "67010.00", "66990.00")


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.GOVPAY_OUTBOUND_LOOPBACK = True


@pytest.fixture
def exchanges() -> Iterator[list[Exchange]]:
    """Kraken at 67,000, Coinbase at 67,010 and Bitstamp at 66,990 dollars."""
    made = [Exchange(kind, price) for kind, price in zip(KINDS, PRICES, strict=True)]
    yield made
    for one in made:
        one.close()


@pytest.fixture
def rule(db: None, exchanges: list[Exchange]) -> PriceRule:
    """Dollars: two sources within 2 %, jumps of 10 %, from 1,000 to 1,000,000."""
    made = factories.make_price_rule("USD")
    for one in exchanges:
        factories.make_price_source("USD", one.kind, one.url)
    return made


@pytest.fixture
def look(rule: PriceRule) -> Callable[[], PriceRule]:
    """Asks all sources once, as the watch does, and returns the rule with its status as it is then."""

    def call() -> PriceRule:
        watch.look(rule.pk)
        return PriceRule.objects.select_related("status").get(pk=rule.pk)

    return call
