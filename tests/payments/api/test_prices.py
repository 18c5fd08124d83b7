"""Prices through the API: a currency from its proposal to a quote, prices by hand, the breaker, and who may read (R-12)."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments.models import ManualPrice, PriceBreaker, PriceRule, PriceStatus, Program, Quote
from payments.prices import quotes, watch
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api
from tests.payments.prices.exchanges import Exchange

pytestmark = pytest.mark.django_db

KINDS = ("kraken", "coinbase", "bitstamp")
RULE = {
    "currency": "USD",
    "least_sources": 2,
    "spread_bps": 200,
    "jump_bps": 1_000,
    "floor": "1000",
    "ceiling": "1000000.50",
    "quote_s": 600,
    "note": "A pilot in dollars.",
}


@pytest.fixture
def exchanges(settings: Any) -> Iterator[list[Exchange]]:
    settings.GOVPAY_OUTBOUND_LOOPBACK = True
    made = [Exchange(kind, price) for kind, price in zip(KINDS, ("67000", "67010", "66990"), strict=True)]
    yield made
    for one in made:
        one.close()


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
def breaker(program: Program) -> PriceBreaker:
    rule = factories.make_price_rule("USD")
    PriceStatus.objects.update(accepted_price=67_000, accepted_at=timezone.now())
    return PriceBreaker.objects.create(
        rule=rule, opened_at=timezone.now(), from_price=67_000, to_price=90_000
    )


class TestPrice:
    def test_is_proposed_confirmed_asked_for_and_quoted(
        self, api: Api, security: User, second: User, auditor: User, exchanges: list[Exchange]
    ) -> None:
        """From nothing to a quote, over the API alone but for the watch itself."""
        first, another, reader = api(security), api(second), api(auditor)
        asked = [expect.ok(first.post("/api/v1/prices/proposals/rules/", RULE), 201)]
        for one in exchanges:
            body = {
                "currency": "USD",
                "name": one.kind.title(),
                "kind": one.kind,
                "address": one.url,
                "fresh_s": 120,
                "note": "Known.",
            }
            asked.append(expect.ok(first.post("/api/v1/prices/proposals/sources/", body), 201))
        for made in asked:
            assert made["program_id"] is None
            confirm = f"/api/v1/proposals/{made['id']}/confirm/"
            expect.problem(first.post(confirm, {}), 403, "same_person_twice")
            expect.ok(another.post(confirm, {}))
        (price,) = expect.ok(reader.get("/api/v1/prices/"))["results"]
        assert (price["price"], price["broken_rule"]) == (None, "least_sources")
        watch.visit(price["id"])
        price = expect.ok(reader.get(f"/api/v1/prices/{price['id']}/"))
        assert {name: price[name] for name in ("currency", "price", "broken_rule", "floor", "ceiling")} == {
            "currency": "USD",
            "price": "67000",
            "broken_rule": "",
            "floor": "1000",
            "ceiling": "1000000.5",
        }
        assert [(row["name"], row["value"], row["is_used"], row["why"]) for row in price["sources"]] == [
            ("Bitstamp", "66990", True, ""),
            ("Coinbase", "67010", True, ""),
            ("Kraken", "67000", True, ""),
        ]
        taken = quotes.take("USD")
        (quote,) = expect.ok(reader.get("/api/v1/quotes/?currency=USD"))["results"]
        assert (quote["id"], quote["price"]) == (taken.pk, "67000")
        assert quote == expect.ok(reader.get(f"/api/v1/quotes/{taken.pk}/"))
        assert [value["value"] for value in quote["values"]] == ["66990", "67010", "67000"]
        assert quote["rule"]["accepted_price"] == "67000"

    def test_shows_every_source_with_what_is_wrong(
        self, api: Api, auditor: User, exchanges: list[Exchange]
    ) -> None:
        rule = factories.make_price_rule("USD")
        for one in exchanges:
            factories.make_price_source("USD", one.kind, one.url)
        exchanges[0].price = "NaN"
        exchanges[1].price = "1"
        watch.look(rule.pk)
        (price,) = expect.ok(api(auditor).get("/api/v1/prices/?currency=USD"))["results"]
        assert (price["price"], price["broken_rule"]) == (None, "spread")
        said = {row["kind"]: (row["value"], row["why"], row["message"]) for row in price["sources"]}
        assert said["kraken"] == (
            None,
            "price_malformed",
            "The price is not up to 12 digits, with a point and up to 24 more at most.",
        )
        assert said["coinbase"] == ("1", "outlier", "")

    def test_is_listed_with_as_many_statements_for_any_number(self, api: Api, auditor: User) -> None:
        client = api(auditor)

        def count() -> int:
            with CaptureQueriesContext(connection) as queries:
                expect.ok(client.get("/api/v1/prices/"))
            return len(queries)

        factories.make_price_rule("USD")
        factories.make_price_source("USD", "manual")
        one = count()
        for currency in ("PKR", "EUR", "JPY"):
            factories.make_price_rule(currency)
            for kind in ("kraken", "coinbase"):
                factories.make_price_source(currency, kind, f"https://{kind}.example")
        assert count() == one

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"currency": "BTC"}, "currency"),
            ({"least_sources": 1}, "least_sources"),
            ({"spread_bps": 5_001}, "spread_bps"),
            ({"floor": 1000}, "floor"),
            ({"quote_s": 1.5}, "quote_s"),
            ({"by": 1}, "by"),
        ],
    )
    def test_has_its_rule_refused_by_field(
        self, api: Api, security: User, changes: dict[str, Any], field: str
    ) -> None:
        body = expect.problem(
            api(security).post("/api/v1/prices/proposals/rules/", RULE | changes), 400, "validation_error"
        )
        assert [error["field"] for error in body["errors"]] == [field]

    def test_is_hidden_from_whoever_reads_no_program(
        self, api: Api, breaker: PriceBreaker, program: Program
    ) -> None:
        quote = factories.make_quote("USD", "67000")
        for user in (factories.make_user("nobody"), factories.make_member(program, "helpdesk")):
            client = api(user)
            for name in ("prices", "quotes", "manual-prices", "price-breakers"):
                assert expect.ok(client.get(f"/api/v1/{name}/"))["results"] == [], name
            for address in (
                f"prices/{breaker.rule_id}",
                f"quotes/{quote.pk}",
                f"price-breakers/{breaker.pk}",
            ):
                expect.problem(client.get(f"/api/v1/{address}/"), 404, "not_found")

    @pytest.mark.parametrize("name", ["prices", "quotes", "manual-prices", "price-breakers"])
    def test_that_is_not_there_is_not_found(self, api: Api, auditor: User, name: str) -> None:
        expect.problem(api(auditor).get(f"/api/v1/{name}/{2**62}/"), 404, "not_found")


class TestManualPrice:
    def test_is_given_by_one_and_confirmed_by_another(
        self, api: Api, treasurer: User, other: User, auditor: User
    ) -> None:
        factories.make_price_rule("USD")
        source = factories.make_price_source("USD", "manual", fresh_s=3600)
        body = {"source_id": source.pk, "price": "67000.10", "note": "The central bank at noon."}
        given = expect.ok(api(treasurer).post("/api/v1/manual-prices/", body), 201)
        assert {name: given[name] for name in ("state", "price", "given_by", "currency")} == {
            "state": "given",
            "price": "67000.1",
            "given_by": "tahir",
            "currency": "USD",
        }
        address = f"/api/v1/manual-prices/{given['id']}/"
        expect.problem(
            api(treasurer).post(f"{address}confirm/", {"price": "67000.10"}), 403, "same_person_twice"
        )
        expect.problem(api(auditor).post(f"{address}confirm/", {"price": "67000.10"}), 403, "role_missing")
        expect.problem(api(other).post(f"{address}confirm/", {"price": "67000.11"}), 409, "price_changed")
        waiting = "/api/v1/manual-prices/?is_waiting=true"
        assert len(expect.ok(api(auditor).get(waiting))["results"]) == 1
        done = expect.ok(api(other).post(f"{address}confirm/", {"price": "67000.1"}))
        assert (done["state"], done["confirmed_by"]) == ("confirmed", "tara")
        assert expect.ok(api(auditor).get(waiting))["results"] == []
        (price,) = expect.ok(api(auditor).get("/api/v1/prices/"))["results"]
        assert [(row["value"], row["is_used"]) for row in price["sources"]] == [("67000.1", True)]
        gone = expect.ok(api(treasurer).post(f"{address}withdraw/", {"note": "A typo."}))
        assert (gone["state"], gone["withdrawn_by"]) == ("withdrawn", "tahir")
        assert gone == expect.ok(api(auditor).get(address))

    @pytest.mark.parametrize(
        ("price", "code"), [("NaN", "price_malformed"), ("1", "price_out_of_bounds"), ("0", "price_zero")]
    )
    def test_that_is_no_price_is_refused_with_its_rule(
        self, api: Api, treasurer: User, price: str, code: str
    ) -> None:
        factories.make_price_rule("USD")
        source = factories.make_price_source("USD", "manual")
        body = {"source_id": source.pk, "price": price, "note": "A slip."}
        refused = expect.problem(api(treasurer).post("/api/v1/manual-prices/", body), 422, "invalid_input")
        assert [(error["column"], error["code"]) for error in refused["errors"]] == [("price", code)]
        assert ManualPrice.objects.count() == 0


class TestBreaker:
    def test_is_closed_by_two_at_a_price_that_both_name(
        self, api: Api, breaker: PriceBreaker, treasurer: User, other: User, auditor: User
    ) -> None:
        (price,) = expect.ok(api(auditor).get("/api/v1/prices/"))["results"]
        assert (price["broken_rule"], price["breaker"]["to_price"]) == ("breaker", "90000")
        address = f"/api/v1/price-breakers/{breaker.pk}/"
        expect.problem(api(other).post(f"{address}confirm/", {"price": "89000"}), 409, "nobody_asked")
        asked = {"price": "89000", "note": "It is so everywhere."}
        expect.problem(api(auditor).post(f"{address}close/", asked), 403, "role_missing")
        expect.ok(api(treasurer).post(f"{address}close/", asked))
        expect.problem(
            api(treasurer).post(f"{address}confirm/", {"price": "89000"}), 403, "same_person_twice"
        )
        expect.problem(api(other).post(f"{address}confirm/", {"price": "67000"}), 409, "price_changed")
        assert PriceBreaker.objects.get().is_open
        closed = expect.ok(api(other).post(f"{address}confirm/", {"price": "89000.00"}))
        assert (closed["is_open"], closed["asked_by"], closed["closed_by"]) == (False, "tahir", "tara")
        assert PriceStatus.objects.get().accepted_price == Decimal(89_000)
        expect.problem(api(other).post(f"{address}confirm/", {"price": "89000"}), 409, "breaker_closed")
        assert expect.ok(api(auditor).get("/api/v1/price-breakers/?is_open=true"))["results"] == []
        (price,) = expect.ok(api(auditor).get("/api/v1/prices/"))["results"]
        assert price["breaker"] is None
        assert (PriceRule.objects.count(), Quote.objects.count()) == (1, 0)
