"""``manage.py price``: what it prints of a price, and of none (R-12)."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from payments.models import PriceReading
from tests import factories
from tests.payments.prices.exchanges import Exchange

pytestmark = pytest.mark.django_db


@pytest.fixture
def exchanges(settings: Any) -> Iterator[list[Exchange]]:
    settings.GOVPAY_OUTBOUND_LOOPBACK = True
    made = [Exchange(kind, "28100000.50", "PKR") for kind in ("kraken", "coinbase_spot", "coingecko")]
    yield made
    for one in made:
        one.close()


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("price", *arguments, stdout=out)
    return out.getvalue()


def test_asks_and_shows_every_source_and_the_price(exchanges: list[Exchange]) -> None:
    factories.make_price_rule("PKR", ceiling=100_000_000)
    for one in exchanges:
        factories.make_price_source("PKR", one.kind, one.url)
    lines = run("PKR", "--ask").splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [
        "Coinbase_Spot (coinbase_spot)",
        "Coingecko (coingecko)",
        "Kraken (kraken)",
    ]
    assert all("28,100,000.5 as of " in line and line.endswith("used.") for line in lines[:3])
    assert lines[3].startswith("Last accepted: 28,100,000.5 at ")
    assert lines[4:] == ["A bitcoin costs 28,100,000.5 PKR."]


def test_asks_nobody_unless_told_to(exchanges: list[Exchange]) -> None:
    factories.make_price_rule("PKR", ceiling=100_000_000)
    factories.make_price_source("PKR", "kraken", exchanges[0].url)
    with pytest.raises(CommandError, match=r"\(few_sources\)$"):
        run("PKR")
    assert (exchanges[0].asked, PriceReading.objects.count()) == ([], 0)


@pytest.mark.parametrize(
    ("code", "says"), [("USD", r"\(no_rule\)"), ("BTC", "ISO 4217"), ("usd", "ISO 4217")]
)
def test_refuses_a_currency_without_a_rule(code: str, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run(code)
