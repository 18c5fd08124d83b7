"""The watch: what is asked when, the breaker that it opens, and the alarms about it (R-12)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ledger.models import AuditEvent
from payments import tasks
from payments.models import (
    Alarm,
    PriceBreaker,
    PriceReading,
    PriceRule,
    PriceSource,
    PriceStatus,
    Quote,
)
from payments.payout import lookout, rounds
from payments.prices import quotes, watch
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
class TestBreaker:
    """R-12: a jump opens the breaker, and it stays open until two people close it, whatever the price does."""

    @pytest.fixture
    def jumped(self, look: Look, exchanges: list[Exchange]) -> PriceBreaker:
        look()
        set_all(exchanges, "73700.01")
        look()
        return PriceBreaker.objects.get()

    def test_opens_beyond_the_limit_and_not_at_it(self, look: Look, exchanges: list[Exchange]) -> None:
        look()
        set_all(exchanges, "73700")
        assert look().status.accepted_price == Decimal(73_700)
        set_all(exchanges, "66330")
        assert look().status.accepted_price == Decimal(66_330)
        set_all(exchanges, "72963.01")
        assert look().status.accepted_price == Decimal(66_330)
        breaker = PriceBreaker.objects.get()
        assert (breaker.from_price, breaker.to_price) == (Decimal(66_330), Decimal("72963.01"))

    def test_leaves_no_quote_and_an_event(self, jumped: PriceBreaker) -> None:
        assert rule_of("USD") == "breaker"
        assert Quote.objects.count() == 0
        assert AuditEvent.objects.get(action="price_breaker.open").subject_id == str(jumped.pk)

    def test_stays_open_when_the_price_comes_back(
        self, jumped: PriceBreaker, look: Look, exchanges: list[Exchange]
    ) -> None:
        set_all(exchanges, "67000")
        status = look().status
        assert (status.broken_rule, status.accepted_price) == ("breaker", Decimal(67_000))
        assert rule_of("USD") == "breaker"
        assert PriceBreaker.objects.get().is_open

    def test_is_one_a_currency_however_far_it_jumps_on(
        self, jumped: PriceBreaker, look: Look, exchanges: list[Exchange]
    ) -> None:
        set_all(exchanges, "90000")
        look()
        assert PriceBreaker.objects.get().to_price == Decimal("73700.01")

    def test_is_not_opened_by_a_price_that_is_none(self, look: Look, exchanges: list[Exchange]) -> None:
        look()
        set_all(exchanges, "1")
        assert look().status.broken_rule == "floor"
        assert PriceBreaker.objects.count() == 0

    def test_is_never_closed_by_one_in_the_database_either(self, jumped: PriceBreaker) -> None:
        one = factories.make_user("one")
        asked = {"close_price": 70_000, "asked_by": one, "asked_at": timezone.now()}
        for change in (
            {"closed_by": one, "closed_at": timezone.now()},
            asked | {"closed_by": one, "closed_at": timezone.now()},
            {"closed_at": timezone.now()},
        ):
            with pytest.raises(IntegrityError, match="pricebreaker_closed_by_two"), transaction.atomic():
                PriceBreaker.objects.update(**change)
        assert PriceBreaker.objects.get().is_open

    def test_is_refused_to_quotes_before_the_watch_has_seen_the_jump(
        self, look: Look, exchanges: list[Exchange]
    ) -> None:
        """Two of three grow stale between looks, and what is left is another price: no quote is made of it."""
        look()
        PriceReading.objects.update(value=Decimal(80_000))
        assert rule_of("USD") == "jump"


@pytest.mark.django_db
class TestLook:
    def test_keeps_what_was_asked_for_later(self, look: Look, rule: PriceRule) -> None:
        look()
        source = PriceSource.objects.get(kind="kraken")
        before = PriceReading.objects.get(source=source)
        watch.store(
            rule.pk,
            {source: Heard(value=Decimal(1), at=datetime.now(UTC), sha256=b"x")},
            asked_at=before.asked_at - timedelta(seconds=1),
        )
        assert PriceReading.objects.get(source=source).value == before.value

    def test_writes_nothing_of_a_source_that_was_ended_meanwhile(self, look: Look, rule: PriceRule) -> None:
        source = PriceSource.objects.get(kind="kraken")
        PriceSource.objects.filter(pk=source.pk).update(ended_at=timezone.now())
        heard = {source: Heard(value=Decimal(67_000), at=datetime.now(UTC), sha256=b"x")}
        watch.store(rule.pk, heard, asked_at=timezone.now())
        assert PriceReading.objects.count() == 0

    def test_writes_nothing_of_a_source_that_led_elsewhere_when_it_was_asked(self, rule: PriceRule) -> None:
        asked = PriceSource.objects.get(kind="kraken")
        PriceSource.objects.filter(pk=asked.pk).update(address="https://api.kraken.com")
        heard = {asked: Heard(value=Decimal(67_000), at=datetime.now(UTC), sha256=b"x")}
        watch.store(rule.pk, heard, asked_at=timezone.now())
        assert PriceReading.objects.count() == 0

    def test_is_as_many_statements_for_any_number_of_sources(self, look: Look) -> None:
        rule = look()

        def count() -> int:
            heard = {
                source: Heard(value=Decimal(67_000), at=datetime.now(UTC), sha256=b"x")
                for source in PriceSource.objects.all()
            }
            with CaptureQueriesContext(connection) as queries:
                watch.store(rule.pk, heard, asked_at=timezone.now())
            return len(queries)

        of_three = count()
        for number in range(7):
            factories.make_price_source("USD", "file", f"{number}.json", name=f"File {number}")
        assert count() == of_three
        assert PriceReading.objects.count() == 10

    def test_comes_again_after_its_time_and_to_one_worker(
        self, rule: PriceRule, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked: list[int] = []
        monkeypatch.setattr(watch, "look", looked.append)
        assert watch.due() == [rule.pk]
        watch.visit(rule.pk)
        watch.visit(rule.pk)
        assert (looked, watch.due()) == ([rule.pk], [])
        PriceStatus.objects.update(due_at=timezone.now())
        assert [(ring.task, ring.ids) for ring in rounds.prices_to_ask()] == [
            ("watch_prices", {"rule_id": rule.pk})
        ]

    def test_leaves_a_currency_alone_that_is_switched_off(self, rule: PriceRule) -> None:
        PriceRule.objects.update(is_on=False)
        assert watch.due() == []


@pytest.mark.django_db
class TestAlarms:
    def open_ones(self) -> list[tuple[str, str, int]]:
        rows = Alarm.objects.filter(closed_at=None, subject="price").order_by("code")
        return list(rows.values_list("code", "subject", "subject_id"))

    def test_of_a_breaker_is_open_as_long_as_it_is(self, look: Look, exchanges: list[Exchange]) -> None:
        rule = look()
        set_all(exchanges, "90000")
        look()
        lookout.look()
        lookout.look()
        assert self.open_ones() == [("price_breaker_open", "price", rule.pk)]
        alarm = Alarm.objects.get(code="price_breaker_open")
        assert (alarm.times, alarm.message) == (2, "The price of a bitcoin jumped from 67,000 to 90,000 USD.")
        PriceBreaker.objects.update(
            close_price=90_000,
            asked_by=factories.make_user("one"),
            asked_at=timezone.now(),
            closed_by=factories.make_user("two"),
            closed_at=timezone.now(),
        )
        lookout.look()
        assert self.open_ones() == []

    def test_of_a_missing_price_waits_five_minutes_and_closes_by_itself(
        self, look: Look, exchanges: list[Exchange]
    ) -> None:
        look()
        for one in exchanges:
            one.price = "NaN"
        rule = look()
        now = timezone.now()
        watch.tell(now)
        assert self.open_ones() == []
        watch.tell(now + timedelta(seconds=301))
        assert self.open_ones() == [("price_missing", "price", rule.pk)]
        assert Alarm.objects.get().message == (
            "There is no price in USD. 0 of 3 sources say a fresh price, and 2 must."
        )
        set_all(exchanges, "67000")
        look()
        watch.tell(timezone.now())
        assert self.open_ones() == []

    def test_of_a_missing_price_comes_too_when_no_worker_asks_any_more(self, look: Look) -> None:
        look()
        watch.tell(timezone.now() + timedelta(seconds=301))
        assert [code for code, _, _ in self.open_ones()] == ["price_missing"]


@pytest.mark.django_db
class TestTask:
    def test_asks_every_source_once_while_it_is_rung_twice(
        self, rule: PriceRule, exchanges: list[Exchange]
    ) -> None:
        for _ in range(2):
            tasks.watch_prices(rule_id=rule.pk)
        assert [len(one.asked) for one in exchanges] == [1, 1, 1]
        assert PriceStatus.objects.get().accepted_price == Decimal(67_000)

    def test_never_takes_a_worker_from_payouts(self, settings: Any) -> None:
        route = settings.CELERY_TASK_ROUTES["payments.tasks.watch_prices"]
        assert route == {"queue": settings.GOVPAY_ROUNDS_QUEUE}
