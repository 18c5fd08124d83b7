"""Prices in the admin: what stands, who may press what, and that two people set and keep them (R-12)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from payments.models import (
    ManualPrice,
    PriceBreaker,
    PriceReading,
    PriceRule,
    PriceSource,
    PriceStatus,
    Program,
    Proposal,
)
from payments.prices import quotes, reading
from payments.services import prices, proposals
from tests import factories

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
RULES = "/admin/payments/pricerule/"
RULE = {
    "is_on": "on",
    "least_sources": 2,
    "spread_bps": 200,
    "jump_bps": 1_000,
    "floor": "1000000",
    "ceiling": "100000000",
    "quote_s": 600,
    "note": "A pilot.",
}


@pytest.fixture
def security(program: Program) -> User:
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def second(program: Program) -> User:
    return factories.make_member(program, "security", "samuel")


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer", "tahir")


@pytest.fixture
def other(program: Program) -> User:
    return factories.make_member(program, "treasurer", "tara")


@pytest.fixture
def rule() -> PriceRule:
    """Rupees, with three sources that say 28.1 million."""
    made = factories.make_price_rule("PKR", floor=Decimal(1_000_000), ceiling=Decimal(100_000_000))
    for kind in ("kraken", "coinbase", "bitstamp"):
        source = factories.make_price_source("PKR", kind, f"https://{kind}.example")
        PriceReading.objects.create(
            source=source, value=28_100_000, value_at=timezone.now(), asked_at=timezone.now()
        )
    return made


@pytest.fixture
def breaker(rule: PriceRule) -> PriceBreaker:
    PriceStatus.objects.update(accepted_price=28_100_000, accepted_at=timezone.now())
    return PriceBreaker.objects.create(
        rule=rule, opened_at=timezone.now(), from_price=28_100_000, to_price=40_000_000
    )


def page(row: Any) -> str:
    return reverse(f"admin:payments_{row._meta.model_name}_change", args=[row.pk])


def button(row: Any, name: str) -> str:
    return page(row).replace("/change/", f"/{name}/")


def text(client: Client, url: str) -> str:
    return client.get(url).content.decode()


class TestPrice:
    def test_shows_every_source_with_what_it_says_or_why_not(
        self, rule: PriceRule, auditor: User, browser: Browser
    ) -> None:
        PriceReading.objects.filter(source__kind="coinbase").update(
            value=None, value_at=None, fault="price_malformed", message="The price is not digits."
        )
        shown = text(browser(auditor), page(rule))
        assert "28,100,000 PKR" in shown
        assert "price malformed" in shown
        assert "The price is not digits." in shown
        assert "Nothing is quoted" not in shown

    def test_says_which_rule_stands_against_a_quote(
        self, rule: PriceRule, auditor: User, browser: Browser
    ) -> None:
        PriceReading.objects.exclude(source__kind="kraken").delete()
        shown = text(browser(auditor), page(rule))
        assert "Nothing is quoted" in shown
        assert "1 of 3 sources say a fresh price, and 2 must." in shown

    def test_leads_to_the_breaker_that_is_open(
        self, rule: PriceRule, breaker: PriceBreaker, auditor: User, browser: Browser
    ) -> None:
        shown = text(browser(auditor), page(rule))
        assert "two people have not closed the breaker yet" in shown
        assert page(breaker) in shown

    def test_lists_its_quotes_and_what_each_was_made_of(
        self, rule: PriceRule, auditor: User, browser: Browser
    ) -> None:
        quote = quotes.take("PKR")
        client = browser(auditor)
        assert page(quote) in text(client, page(rule))
        bounds = f"{reading.grouped(rule.floor)} to {reading.grouped(rule.ceiling, 'PKR')}</span>"
        assert bounds in client.get(RULES).content.decode()
        shown = text(client, page(quote))
        assert shown.count("28,100,000 PKR") == 4
        assert "Sources that must agree" in shown


class TestProposals:
    def test_of_a_rule_are_made_and_confirmed_by_two(
        self, security: User, second: User, browser: Browser
    ) -> None:
        client = browser(security)
        assert f"{RULES}propose-rule/" in text(client, RULES)
        answer = client.post(f"{RULES}propose-rule/", RULE | {"currency": "PKR"})
        asked = Proposal.objects.get()
        assert answer["Location"] == page(asked)
        shown = text(browser(second), page(asked))
        assert "Sources that must agree" in shown
        assert "yes" in shown
        assert browser(second).post(button(asked, "confirm"), {"note": ""}).status_code == 302
        assert PriceRule.objects.get().floor == Decimal(1_000_000)

    @pytest.mark.parametrize("name", ["propose-rule", "propose-source"])
    def test_take_no_currency_that_nobody_chose(self, security: User, browser: Browser, name: str) -> None:
        client = browser(security)
        assert (
            '<option value="" selected>Choose one</option>' in client.get(f"{RULES}{name}/").content.decode()
        )
        answer = client.post(
            f"{RULES}{name}/", RULE | {"currency": "", "kind": "kraken", "name": "A", "fresh_s": 60}
        )
        assert answer.status_code == 422
        assert "This field is required." in answer.content.decode()
        assert not Proposal.objects.exists()

    def test_of_changes_show_what_is_now(
        self, rule: PriceRule, security: User, second: User, browser: Browser
    ) -> None:
        client = browser(security)
        assert 'value="100000000"' in text(client, button(rule, "change-rule"))
        body = {name: value for name, value in RULE.items() if name != "is_on"}
        assert client.post(button(rule, "change-rule"), body).status_code == 302
        asked = Proposal.objects.order_by("-pk")[0]
        changed = {name for name in asked.after if asked.after[name] != asked.before[name]}
        assert changed == {"is_on"}
        proposals.confirm(by=second, proposal_id=asked.pk)
        assert not PriceRule.objects.get().is_on

    def test_of_a_source_are_refused_beside_the_form(self, security: User, browser: Browser) -> None:
        body = {
            "currency": "PKR",
            "kind": "coingecko",
            "name": "CoinGecko",
            "address": "http://inside.example",
            "fresh_s": 300,
            "note": "Known.",
        }
        client = browser(security)
        answer = client.post(f"{RULES}propose-source/", body)
        assert answer.status_code == 422
        assert "The address must begin with https." in answer.content.decode()
        assert Proposal.objects.count() == 0
        answer = client.post(f"{RULES}propose-source/", body | {"address": "https://api.coingecko.com"})
        assert answer["Location"] == page(Proposal.objects.get())

    def test_end_a_source(self, rule: PriceRule, security: User, second: User, browser: Browser) -> None:
        source = PriceSource.objects.get(kind="kraken")
        body = {
            "name": source.name,
            "address": source.address,
            "fresh_s": 120,
            "is_ended": "on",
            "note": "Gone.",
        }
        assert browser(security).post(button(source, "change-source"), body).status_code == 302
        proposals.confirm(by=second, proposal_id=Proposal.objects.order_by("-pk")[0].pk)
        source.refresh_from_db()
        assert source.ended_at is not None
        assert "change-source" not in text(browser(security), page(source))

    @pytest.mark.parametrize("role", ["officer", "approver", "releaser", "treasurer", "auditor"])
    def test_are_offered_to_security_administrators_only(
        self, rule: PriceRule, program: Program, role: str, browser: Browser
    ) -> None:
        client = browser(factories.make_member(program, role, "somebody"))
        assert "propose-rule" not in text(client, RULES)
        assert "change-rule" not in text(client, page(rule))
        refused = client.post(f"{RULES}propose-rule/", RULE | {"currency": "USD"})
        assert refused.status_code == 403
        assert Proposal.objects.filter(kind="price_rule", asked__currency="USD").count() == 0


class TestManualPrice:
    def test_is_given_by_one_and_confirmed_by_another(
        self, rule: PriceRule, treasurer: User, other: User, browser: Browser
    ) -> None:
        source = factories.make_price_source("PKR", "manual", fresh_s=3600)
        client = browser(treasurer)
        answer = client.post(button(source, "give"), {"price": "28100000.50", "note": "State Bank."})
        given = ManualPrice.objects.get()
        assert answer["Location"] == page(given)
        assert "/confirm/" not in text(client, page(given))
        refused = client.post(button(given, "confirm"), {"price": "28100000.5"})
        assert refused.status_code == 403
        second = browser(other)
        assert "28,100,000.5 PKR" in text(second, button(given, "confirm"))
        assert second.post(button(given, "confirm"), {"price": "28100000.5"}).status_code == 302
        given.refresh_from_db()
        assert (given.state, given.confirmed_by) == ("confirmed", other)
        for shown in (page(source), "/admin/payments/pricesource/"):
            assert "28,100,000.5 PKR" in text(second, shown)
        assert second.post(button(given, "withdraw"), {"note": "A typo."}).status_code == 302
        given.refresh_from_db()
        assert (given.state, given.withdrawn_by) == ("withdrawn", other)
        assert "28,100,000.5 PKR" not in text(second, page(source))

    def test_is_offered_to_treasurers_on_a_manual_source_only(
        self, rule: PriceRule, treasurer: User, auditor: User, browser: Browser
    ) -> None:
        source = factories.make_price_source("PKR", "manual", fresh_s=3600)
        kraken = PriceSource.objects.get(kind="kraken")
        assert button(source, "give") in text(browser(treasurer), page(source))
        assert "/give/" not in text(browser(treasurer), page(kraken))
        assert "/give/" not in text(browser(auditor), page(source))
        refused = browser(auditor).post(button(source, "give"), {"price": "28100000", "note": "State Bank."})
        assert (refused.status_code, ManualPrice.objects.count()) == (403, 0)


class TestBreaker:
    def test_is_closed_by_two(
        self, breaker: PriceBreaker, treasurer: User, other: User, browser: Browser
    ) -> None:
        client = browser(treasurer)
        answer = client.post(button(breaker, "close"), {"price": "39900000", "note": "It is so everywhere."})
        assert answer.status_code == 302
        assert button(breaker, "confirm") not in text(client, page(breaker))
        assert client.post(button(breaker, "confirm"), {"price": "39900000"}).status_code == 403
        assert PriceBreaker.objects.get().is_open
        second = browser(other)
        assert "39,900,000 PKR" in text(second, button(breaker, "confirm"))
        stale = second.post(button(breaker, "confirm"), {"price": "39900001"})
        assert stale.status_code == 409
        assert second.post(button(breaker, "confirm"), {"price": "39900000"}).status_code == 302
        closed = PriceBreaker.objects.get()
        assert (closed.asked_by, closed.closed_by) == (treasurer, other)
        assert PriceStatus.objects.get().accepted_price == Decimal(39_900_000)
        assert "/confirm/" not in text(second, page(breaker))


class TestHome:
    def test_says_to_the_other_treasurer_what_waits(
        self, rule: PriceRule, breaker: PriceBreaker, treasurer: User, other: User, browser: Browser
    ) -> None:
        source = factories.make_price_source("PKR", "manual", fresh_s=3600)
        given = prices.give(by=treasurer, source_id=source.pk, price="28100000", note="State Bank.")
        prices.ask_to_close(by=other, breaker_id=breaker.pk, price="39900000", note="So everywhere.")
        shown = {user: text(browser(user), "/admin/") for user in (treasurer, other)}
        assert [page(given) in shown[user] for user in (treasurer, other)] == [False, True]
        assert [page(breaker) in shown[user] for user in (treasurer, other)] == [True, False]
