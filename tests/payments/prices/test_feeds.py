"""The table of bad feeds: what each does to a price, over real sockets in the exchanges' own formats (R-12)."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from payments.models import PriceReading, PriceRule, PriceSource, Quote, SourceKind
from payments.prices import asking, quotes
from tests import factories
from tests.payments.prices import exchanges as fakes
from tests.payments.prices.exchanges import Exchange

pytestmark = pytest.mark.django_db

Look = Callable[[], PriceRule]


class Bad(NamedTuple):
    """What is done to one exchange of three, or to more, and what is said of it then."""

    does: Callable[[Exchange], None]
    why: str


def says(price: str) -> Callable[[Exchange], None]:
    return lambda exchange: setattr(exchange, "price", price)


def answers(odd: fakes.Answer) -> Callable[[Exchange], None]:
    return lambda exchange: setattr(exchange, "odd", odd)


def stale(exchange: Exchange) -> None:
    exchange.at = datetime.now(UTC) - timedelta(seconds=121)


def ahead(exchange: Exchange) -> None:
    exchange.at = datetime.now(UTC) + timedelta(seconds=90)


def redirects(exchange: Exchange) -> None:
    exchange.odd = fakes.answer(302, b"", Location=exchange.url + fakes.path(exchange.kind, "USD"))


BAD: dict[str, Bad] = {
    "stale": Bad(stale, "stale"),
    "from the future": Bad(ahead, "from_the_future"),
    "down": Bad(lambda exchange: exchange.close(), "no_answer"),
    "an outlier above": Bad(says("73000"), "outlier"),
    "an outlier below": Bad(says("60000"), "outlier"),
    "1": Bad(says("1"), "outlier"),
    "0": Bad(says("0"), "price_zero"),
    "0.00": Bad(says("0.00"), "price_zero"),
    "less than is kept": Bad(says("0.000000001"), "price_zero"),
    "NaN": Bad(says("NaN"), "price_malformed"),
    "Infinity": Bad(says("Infinity"), "price_malformed"),
    "negative": Bad(says("-67000"), "price_negative"),
    "an exponent": Bad(says("6.7e4"), "price_malformed"),
    "a comma": Bad(says("67,000.00"), "price_malformed"),
    "empty": Bad(says(""), "price_malformed"),
    "spaces": Bad(says(" 67000"), "price_malformed"),
    "other digits": Bad(says("\u0666\u0667\u0660\u0660\u0660"), "price_malformed"),
    "a leading zero": Bad(says("067000"), "price_malformed"),
    "a million digits": Bad(says("9" * 60_000), "price_malformed"),
    "slow": Bad(lambda exchange: setattr(exchange, "odd", exchange.slow), "no_answer"),
    "redirecting": Bad(redirects, "no_success"),
    "an error": Bad(answers(fakes.answer(500, b"{}")), "no_success"),
    "limited": Bad(answers(fakes.answer(429, b"{}")), "no_success"),
    "huge": Bad(answers(fakes.answer(200, b" " * 2_000_000)), "too_long"),
    "no JSON": Bad(answers(fakes.answer(200, b"<html>67000</html>")), "not_json"),
    "cut short": Bad(answers(fakes.answer(200, b'{"price": "67000')), "not_json"),
    "deep": Bad(answers(fakes.answer(200, b"[" * 60_000)), "not_json"),
    "two prices": Bad(
        answers(fakes.answer(200, b'{"price": "67000", "price": "1", "time": "2026-01-01T00:00:00Z"}')),
        "not_json",
    ),
    "another encoding": Bad(answers(fakes.answer(200, '{"price": "67000"}'.encode("utf-16"))), "not_json"),
    "null": Bad(answers(fakes.answer(200, b"null")), "not_the_format"),
    "another format": Bad(answers(fakes.answer(200, b'{"usd": "67000"}')), "not_the_format"),
    "a number for a text": Bad(
        answers(fakes.answer(200, b'{"price": 67000, "time": "2026-01-01T00:00:00Z"}')), "price_missing"
    ),
    "no time": Bad(answers(fakes.answer(200, b'{"price": "67000", "time": "yesterday"}')), "time_malformed"),
}


@pytest.fixture(autouse=True)
def _short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "TIMEOUT_S", 0.5)


def why_of(values: list[dict[str, Any]]) -> dict[str, str]:
    return {value["kind"]: value["why"] for value in values}


class TestOneBadFeed:
    """R-12: Coinbase is bad, Kraken and Bitstamp agree, and two are enough: the price is theirs."""

    @pytest.mark.parametrize("name", BAD)
    def test_is_left_out_and_named_while_two_others_agree(
        self, name: str, look: Look, exchanges: list[Exchange]
    ) -> None:
        BAD[name].does(exchanges[1])
        look()
        quote = quotes.take("USD")
        assert quote.price == Decimal(66_995)
        assert why_of(quote.values) == {"kraken": "", "coinbase": BAD[name].why, "bitstamp": ""}
        assert [value["is_used"] for value in quote.values if value["kind"] == "coinbase"] == [False]


class TestTwoBadFeeds:
    """R-12: Coinbase and Bitstamp are bad; what Kraken says alone is no price."""

    @pytest.mark.parametrize("name", sorted(BAD.keys() - {"an outlier above", "an outlier below", "1"}))
    def test_leave_no_price(self, name: str, look: Look, exchanges: list[Exchange]) -> None:
        for exchange in exchanges[1:]:
            BAD[name].does(exchange)
        status = look().status
        with pytest.raises(quotes.NoPrice) as refusal:
            quotes.take("USD")
        assert refusal.value.details["rule"] == "least_sources"
        assert why_of(refusal.value.details["sources"])["kraken"] == ""
        assert (status.broken_rule, status.accepted_price) == ("least_sources", None)
        assert Quote.objects.count() == 0

    @pytest.mark.parametrize(("second", "third"), [("73000", "60000"), ("1", "130000"), ("74000", "81000")])
    def test_that_all_disagree_leave_no_price(
        self, second: str, third: str, look: Look, exchanges: list[Exchange]
    ) -> None:
        exchanges[1].price, exchanges[2].price = second, third
        look()
        with pytest.raises(quotes.NoPrice) as refusal:
            quotes.take("USD")
        assert refusal.value.details["rule"] == "spread"
        assert Quote.objects.count() == 0


class TestNightOfOneToOne:
    """R-12: the typo that everybody repeats, a bitcoin at a dollar, is below the floor; and two are no way around it."""

    @pytest.mark.parametrize(
        ("price", "rule_name"), [("1", "floor"), ("999.99", "floor"), ("1000000.01", "ceiling")]
    )
    def test_is_refused_though_all_agree(
        self, price: str, rule_name: str, look: Look, exchanges: list[Exchange]
    ) -> None:
        for exchange in exchanges:
            exchange.price = price
        status = look().status
        with pytest.raises(quotes.NoPrice) as refusal:
            quotes.take("USD")
        assert refusal.value.details["rule"] == rule_name == status.broken_rule
        assert (status.accepted_price, Quote.objects.count()) == (None, 0)

    @pytest.mark.parametrize("price", ["1000", "1000000"])
    def test_ends_at_floor_and_ceiling_themselves(
        self, price: str, look: Look, exchanges: list[Exchange]
    ) -> None:
        for exchange in exchanges:
            exchange.price = price
        look()
        assert quotes.take("USD").price == Decimal(price)


class TestFrozenMinute:
    """R-12: a feed that says the same for ever is no price; where it has no clock of its own, its bytes grow old."""

    def test_ages_an_answer_without_a_clock_from_when_it_was_first_seen(
        self, look: Look, exchanges: list[Exchange]
    ) -> None:
        exchanges[0].at = datetime(2026, 1, 1, tzinfo=UTC)
        look()
        first = PriceReading.objects.get(source__kind="kraken")
        look()
        again = PriceReading.objects.get(source__kind="kraken")
        assert (again.value_at, again.asked_at > first.asked_at) == (first.value_at, True)
        assert first.value_at is not None
        later = first.value_at + timedelta(seconds=120)
        assert why_of(quotes.stand("USD", at=later).verdict.values)["kraken"] == "stale"  # type: ignore[union-attr]

    def test_takes_an_answer_without_a_clock_for_new_when_it_changes(
        self, look: Look, exchanges: list[Exchange]
    ) -> None:
        exchanges[0].at = datetime(2026, 1, 1, tzinfo=UTC)
        look()
        first = PriceReading.objects.get(source__kind="kraken")
        exchanges[0].at = datetime(2026, 1, 2, tzinfo=UTC)
        look()
        again = PriceReading.objects.get(source__kind="kraken")
        assert (again.value, again.value_at) == (first.value, again.asked_at)

    @pytest.mark.parametrize("status", [200, 503])
    def test_takes_an_old_answer_for_no_newer_when_something_odd_came_between(
        self, status: int, look: Look, exchanges: list[Exchange]
    ) -> None:
        """A page of errors between two answers of a cache that stands still."""
        exchanges[0].at = datetime(2026, 1, 1, tzinfo=UTC)
        look()
        first = PriceReading.objects.get(source__kind="kraken")
        exchanges[0].odd = fakes.answer(status, b"<html>Busy</html>")
        look()
        exchanges[0].odd = None
        look()
        again = PriceReading.objects.get(source__kind="kraken")
        assert (again.value, again.value_at, again.fault) == (first.value, first.value_at, "")

    def test_keeps_what_a_silent_source_said_until_it_is_stale(
        self, look: Look, exchanges: list[Exchange]
    ) -> None:
        look()
        exchanges[1].odd = fakes.answer(503, b"")
        look()
        row = PriceReading.objects.get(source__kind="coinbase")
        assert (row.value, row.fault) == (Decimal(67_010), "no_success")
        assert quotes.take("USD").price == Decimal(67_000)
        assert row.value_at is not None
        values = quotes.stand("USD", at=row.value_at + timedelta(seconds=120)).verdict.values  # type: ignore[union-attr]
        assert why_of(values)["coinbase"] == "stale"

    def test_forgets_at_once_what_a_source_said_that_says_something_odd_now(
        self, look: Look, exchanges: list[Exchange]
    ) -> None:
        look()
        exchanges[1].price = "NaN"
        look()
        row = PriceReading.objects.get(source__kind="coinbase")
        assert (row.value, row.value_at, row.fault) == (None, None, "price_malformed")


class TestFormats:
    """Each format, as its source documents it, at the path that it documents."""

    @pytest.mark.parametrize("kind", [kind for kind in SourceKind if kind not in ("file", "manual")])
    @pytest.mark.parametrize("currency", ["USD", "PKR"])
    def test_is_read_exactly(self, kind: str, currency: str, db: None) -> None:
        exchange = Exchange(kind, "28100000.12345678", currency)
        try:
            exchange.at = datetime(2026, 11, 29, 12, tzinfo=UTC)
            heard = asking.ask(PriceSource(currency=currency, kind=kind, address=exchange.url))
        finally:
            exchange.close()
        assert (heard.value, heard.fault) == (Decimal("28100000.12345678"), "")
        has_clock = kind in ("coinbase", "bitstamp", "coingecko")
        assert heard.at == (exchange.at if has_clock else None)
        assert exchange.asked == [fakes.path(kind, currency)]

    @pytest.mark.parametrize("kind", ["kraken", "coinbase_spot", "bitfinex", "coingecko"])
    def test_is_refused_when_it_is_about_another_currency(self, kind: str) -> None:
        text = fakes.body(kind, "EUR", "67000", datetime.now(UTC)).encode()
        exchange = Exchange(kind, "67000")
        exchange.odd = fakes.answer(200, text)
        try:
            heard = asking.ask(PriceSource(currency="USD", kind=kind, address=exchange.url))
        finally:
            exchange.close()
        assert (heard.value, heard.fault) == (None, "not_the_format")

    @pytest.mark.parametrize("kind", ["bitfinex", "coingecko"])
    @pytest.mark.parametrize(
        ("price", "fault"),
        [
            ("NaN", "price_malformed"),
            ("Infinity", "price_malformed"),
            ("-Infinity", "price_malformed"),
            ("6.7e4", "price_malformed"),
            ("-1.5", "price_negative"),
            ("0", "price_zero"),
            ("0.0", "price_zero"),
            ('"67000"', "price_missing"),
            ("null", "price_missing"),
            ("true", "price_missing"),
            ("[]", "price_missing"),
        ],
    )
    def test_has_a_number_where_it_has_a_number(self, kind: str, price: str, fault: str) -> None:
        exchange = Exchange(kind, price)
        try:
            heard = asking.ask(PriceSource(currency="USD", kind=kind, address=exchange.url))
        finally:
            exchange.close()
        assert (heard.value, heard.fault) == (None, fault)

    def test_of_kraken_is_refused_with_its_error(self) -> None:
        exchange = Exchange("kraken", "67000")
        exchange.odd = fakes.answer(200, b'{"error":["EQuery:Unknown asset pair"]}')
        try:
            heard = asking.ask(PriceSource(currency="USD", kind="kraken", address=exchange.url))
        finally:
            exchange.close()
        assert (heard.value, heard.message) == (None, "Kraken reports an error.")

    def test_reaches_no_address_inside(self, settings: Any, exchanges: list[Exchange]) -> None:
        settings.GOVPAY_OUTBOUND_LOOPBACK = False
        inside = exchanges[0].url.replace("http:", "https:")
        heard = asking.ask(PriceSource(currency="USD", kind="kraken", address=inside))
        assert (heard.value, heard.fault, exchanges[0].asked) == (None, "no_answer", [])


class TestFile:
    """A source that is a file of the operator's folder, and nothing else of the machine."""

    GOOD = '{"base": "BTC", "currency": "USD", "price": "67000.5", "time": "2026-11-29T12:00:00Z"}'

    def ask(self, name: str) -> asking.Heard:
        return asking.ask(PriceSource(currency="USD", kind="file", address=name))

    def test_is_read(self, settings: Any, tmp_path: Path) -> None:
        settings.GOVPAY_PRICE_FOLDER = str(tmp_path)
        (tmp_path / "usd.json").write_text(self.GOOD)
        heard = self.ask("usd.json")
        assert (heard.value, heard.at) == (Decimal("67000.5"), datetime(2026, 11, 29, 12, tzinfo=UTC))

    @pytest.mark.parametrize(
        "name", ["../usd.json", "/etc/passwd", "a/b.json", ".hidden", "", "usd.json\x00"]
    )
    def test_is_never_outside_the_folder(self, name: str, settings: Any, tmp_path: Path) -> None:
        folder = tmp_path / "prices"
        folder.mkdir()
        (tmp_path / "usd.json").write_text(self.GOOD)
        settings.GOVPAY_PRICE_FOLDER = str(folder)
        assert self.ask(name).fault == "no_answer"

    def test_is_no_link_no_pipe_and_no_folder(self, settings: Any, tmp_path: Path) -> None:
        settings.GOVPAY_PRICE_FOLDER = str(tmp_path)
        (tmp_path / "usd.json").write_text(self.GOOD)
        (tmp_path / "link.json").symlink_to(tmp_path / "usd.json")
        os.mkfifo(tmp_path / "pipe.json")
        (tmp_path / "folder.json").mkdir()
        for name in ("link.json", "pipe.json", "folder.json", "nothing.json"):
            assert self.ask(name).fault == "no_answer"

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            (GOOD.replace("USD", "EUR"), "not_the_format"),
            (GOOD.replace("BTC", "ETH"), "not_the_format"),
            (GOOD.replace("Z", ""), "time_malformed"),
            (GOOD.replace("11-29", "13-29"), "time_malformed"),
            (GOOD.replace('"67000.5"', "67000.5"), "price_missing"),
            (GOOD + " " * 70_000, "too_long"),
            ("", "not_json"),
        ],
    )
    def test_is_refused_unless_it_is_as_agreed(
        self, text: str, fault: str, settings: Any, tmp_path: Path
    ) -> None:
        settings.GOVPAY_PRICE_FOLDER = str(tmp_path)
        (tmp_path / "usd.json").write_text(text)
        assert self.ask("usd.json").fault == fault

    def test_is_silent_where_no_folder_is_named(self) -> None:
        assert self.ask("usd.json") == asking.Heard(
            fault="no_answer", message="GOVPAY_PRICE_FOLDER names no folder."
        )


class TestSetUp:
    def test_of_two_sources_is_too_few_though_they_agree(self, look: Look) -> None:
        PriceSource.objects.filter(kind="bitstamp").update(ended_at=datetime.now(UTC))
        look()
        with pytest.raises(quotes.NoPrice) as refusal:
            quotes.take("USD")
        assert refusal.value.details["rule"] == "few_sources"

    def test_of_four_that_are_split_in_halves_is_no_price(
        self, look: Look, exchanges: list[Exchange]
    ) -> None:
        fourth = Exchange("bitfinex", "75000")
        factories.make_price_source("USD", "bitfinex", fourth.url)
        exchanges[2].price = "75010"
        try:
            look()
        finally:
            fourth.close()
        with pytest.raises(quotes.NoPrice) as refusal:
            quotes.take("USD")
        assert refusal.value.details["rule"] == "spread"
