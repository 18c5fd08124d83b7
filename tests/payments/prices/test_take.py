"""Taking quotes: what they are made of, who waits for whom, and what no quote is ever made of (R-12)."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.utils import timezone

from ledger.models import AuditEvent
from payments.models import (
    ManualPrice,
    PriceBreaker,
    PriceRule,
    PriceSource,
    Quote,
)
from payments.prices import asking, quotes, watch
from payments.prices.asking import Heard
from tests import factories
from tests.payments.prices.exchanges import Exchange

Look = Callable[[], PriceRule]


def set_all(exchanges: list[Exchange], price: str) -> None:
    for one in exchanges:
        one.price = price


def rule_of(currency: str) -> str:
    with pytest.raises(quotes.NoPrice) as refusal:
        quotes.take(currency)
    return str(refusal.value.details["rule"])


@pytest.mark.django_db
class TestTake:
    def test_keeps_price_time_and_every_source(self, look: Look) -> None:
        rule = look()
        at = timezone.now()
        quote = Quote.objects.get(pk=quotes.take("USD", at=at).pk)
        assert (quote.price, quote.taken_at, quote.expires_at) == (
            Decimal("67000"),
            at,
            at + timedelta(seconds=600),
        )
        assert [(value["name"], value["value"], value["is_used"]) for value in quote.values] == [
            ("Bitstamp", "66990", True),
            ("Coinbase", "67010", True),
            ("Kraken", "67000", True),
        ]
        assert quote.rule == {
            "proposal": rule.proposal_id,
            "least_sources": 2,
            "spread_bps": 200,
            "jump_bps": 1000,
            "floor": "1000",
            "ceiling": "1000000",
            "accepted_price": "67000",
            "accepted_at": rule.status.accepted_at.isoformat(),
        }
        event = AuditEvent.objects.get(action="quote.take")
        assert (event.subject_kind, event.subject_id) == ("quote", str(quote.pk))

    def test_names_whose_act_it_belongs_to(self, look: Look) -> None:
        look()
        releaser = factories.make_user("releaser")
        quotes.take("USD", by=releaser)
        event = AuditEvent.objects.get(action="quote.take")
        assert (event.actor, event.actor_id) == ("releaser", str(releaser.pk))

    def test_is_signed(self, look: Look) -> None:
        look()
        quotes.verify(Quote.objects.get(pk=quotes.take("USD").pk))

    def test_asks_nobody(self, look: Look, exchanges: list[Exchange]) -> None:
        look()
        quotes.take("USD")
        assert [len(one.asked) for one in exchanges] == [1, 1, 1]

    def test_is_refused_before_anybody_was_asked(self, rule: PriceRule) -> None:
        assert rule_of("USD") == "least_sources"

    def test_is_refused_while_the_currency_is_switched_off(self, look: Look) -> None:
        look()
        PriceRule.objects.update(is_on=False)
        assert rule_of("USD") == "no_rule"

    def test_is_refused_once_everything_is_stale(self, look: Look) -> None:
        look()
        with pytest.raises(quotes.NoPrice) as refusal:
            quotes.take("USD", at=timezone.now() + timedelta(seconds=121))
        assert refusal.value.details["rule"] == "least_sources"
        assert {value["why"] for value in refusal.value.details["sources"]} == {"stale"}

    def test_takes_the_mean_of_two_and_rounds_half_to_even(
        self, look: Look, exchanges: list[Exchange]
    ) -> None:
        exchanges[0].price, exchanges[1].price, exchanges[2].price = "67000.00000001", "67000.00000002", "1"
        look()
        assert quotes.take("USD").price == Decimal("67000.00000002")


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """Many take quotes while the watch looks: each quote is whole, and none waits for another or for the watch."""

    def test_takes_do_not_wait_for_a_watch_that_stores(self, look: Look, rule: PriceRule) -> None:
        look()
        taken: list[Quote] = []

        def take() -> None:
            try:
                taken.append(quotes.take("USD"))
            finally:
                connection.close()

        with transaction.atomic():
            PriceRule.objects.select_for_update(no_key=True).get(pk=rule.pk)
            threads = [threading.Thread(target=take) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
        assert [quote.price for quote in taken] == [Decimal(67_000)] * 4
        assert len({quote.pk for quote in taken}) == 4

    def test_two_watches_that_see_a_jump_open_one_breaker(self, look: Look, rule: PriceRule) -> None:
        look()
        heard = {
            source: Heard(value=Decimal(90_000), at=datetime.now(UTC), sha256=b"x")
            for source in PriceSource.objects.all()
        }
        errors: list[Exception] = []

        def store() -> None:
            try:
                watch.store(rule.pk, heard, asked_at=timezone.now())
            except Exception as error:  # noqa: BLE001 - the test compares it.
                errors.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=store) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert errors == []
        assert PriceBreaker.objects.count() == 1

    def test_no_quote_is_taken_at_a_price_whose_breaker_is_being_opened(
        self, look: Look, rule: PriceRule
    ) -> None:
        """What the watch has not committed nobody sees, neither the values nor the breaker: the quote is of the old ones."""
        look()
        heard = {
            source: Heard(value=Decimal(90_000), at=datetime.now(UTC), sha256=b"x")
            for source in PriceSource.objects.all()
        }
        prices: list[Decimal] = []

        def take() -> None:
            try:
                prices.append(quotes.take("USD").price)
            finally:
                connection.close()

        with transaction.atomic():
            watch.store(rule.pk, heard, asked_at=timezone.now())
            thread = threading.Thread(target=take)
            thread.start()
            thread.join(30)
        assert prices == [Decimal(67_000)]
        assert rule_of("USD") == "breaker"


@pytest.mark.django_db
class TestManualSource:
    """R-12: what two people said, signed by both, is a source among others."""

    @pytest.fixture
    def by_hand(self, rule: PriceRule) -> PriceSource:
        return factories.make_price_source("USD", "manual", fresh_s=3600)

    def test_says_nothing_until_it_is_confirmed(self, by_hand: PriceSource, look: Look) -> None:
        ManualPrice.objects.create(
            source=by_hand,
            price=67_000,
            note="The bank.",
            given_by=factories.make_user("one"),
            given_at=timezone.now(),
        )
        look()
        values = {value["kind"]: value["why"] for value in quotes.take("USD").values}
        assert values["manual"] == "nothing_said"

    def test_is_no_price_where_no_process_of_ours_signed_it(self, by_hand: PriceSource, look: Look) -> None:
        ManualPrice.objects.create(
            source=by_hand,
            price=67_000,
            note="Written behind the guards.",
            given_by=factories.make_user("one"),
            given_at=timezone.now(),
            confirmed_by=factories.make_user("two"),
            confirmed_at=timezone.now(),
            key_id="x",
            mac=b"0" * 32,
        )
        look()
        value = next(value for value in quotes.take("USD").values if value["kind"] == "manual")
        assert (value["value"], value["is_used"], value["why"]) == (None, False, "manual_price_forged")

    def test_is_never_asked(self, by_hand: PriceSource) -> None:
        assert asking.ask_all([by_hand]) == {}
