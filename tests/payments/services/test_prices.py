"""What people do about prices: rules and sources by two security administrators, prices and breakers by two treasurers."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from govpay.errors import InvalidInput, NotFound, SamePersonTwice
from ledger.models import AuditEvent
from payments.models import (
    Alarm,
    ManualPrice,
    PriceBreaker,
    PriceReading,
    PriceRule,
    PriceSource,
    PriceStatus,
    Program,
    Proposal,
)
from payments.prices import currency, manual, quotes, watch
from payments.services import authority, prices, proposals
from tests import factories

pytestmark = pytest.mark.django_db

RULE: dict[str, Any] = {
    "least_sources": 2,
    "spread_bps": 200,
    "jump_bps": 1_000,
    "floor": "1000000",
    "ceiling": "100000000.5",
    "quote_s": 600,
}
SOURCE = {"currency": "PKR", "name": "CoinGecko", "kind": "coingecko", "fresh_s": 300}
ADDRESS = "https://api.coingecko.com"


@pytest.fixture
def security(program: Program) -> User:
    return factories.make_member(program, "security", "first-security")


@pytest.fixture
def second(program: Program) -> User:
    return factories.make_member(program, "security", "second-security")


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer", "first-treasurer")


@pytest.fixture
def other(program: Program) -> User:
    return factories.make_member(program, "treasurer", "second-treasurer")


@pytest.fixture
def by_hand() -> PriceSource:
    factories.make_price_rule("PKR", floor=Decimal(1_000_000), ceiling=Decimal(100_000_000))
    return factories.make_price_source("PKR", "manual", fresh_s=3600)


@pytest.fixture
def breaker() -> PriceBreaker:
    rule = factories.make_price_rule("PKR", floor=Decimal(1_000_000), ceiling=Decimal(100_000_000))
    PriceStatus.objects.update(accepted_price=28_100_000, accepted_at=timezone.now())
    return PriceBreaker.objects.create(
        rule=rule, opened_at=timezone.now(), from_price=28_100_000, to_price=40_000_000
    )


def actions() -> list[str]:
    found = AuditEvent.objects.filter(action__startswith="price").order_by("pk")
    return list(found.values_list("action", flat=True))


def code_of(refusal: pytest.ExceptionInfo[InvalidInput]) -> tuple[str, str]:
    first = refusal.value.details["errors"][0]
    return first["column"], first["code"]


class TestRule:
    def test_is_in_force_once_another_security_administrator_confirms_it(
        self, security: User, second: User
    ) -> None:
        asked = proposals.propose_price_rule(by=security, currency="PKR", note="A pilot.", **RULE)
        assert PriceRule.objects.count() == 0
        with pytest.raises(SamePersonTwice):
            proposals.confirm(by=security, proposal_id=asked.pk)
        assert PriceRule.objects.count() == 0
        proposals.confirm(by=second, proposal_id=asked.pk)
        made = PriceRule.objects.get()
        assert (made.currency, made.floor, made.ceiling) == (
            "PKR",
            Decimal(1_000_000),
            Decimal("100000000.5"),
        )
        assert (made.is_on, made.proposal_id, watch.due()) == (True, asked.pk, [made.pk])
        assert actions() == ["price_rule.create"]

    def test_is_changed_in_part_and_shows_before_and_after(self, security: User, second: User) -> None:
        factories.make_price_rule("PKR")
        asked = proposals.propose_price_rule(
            by=security, currency="PKR", note="Wider.", ceiling="200000000", is_on=False
        )
        changed = {name for name in asked.after if asked.after[name] != asked.before[name]}
        assert changed == {"ceiling", "is_on"}
        proposals.confirm(by=second, proposal_id=asked.pk)
        made = PriceRule.objects.get()
        assert (made.ceiling, made.is_on, made.floor) == (Decimal(200_000_000), False, Decimal(1_000))
        assert actions() == ["price_rule.change"]

    def test_is_refused_when_it_was_changed_since(self, security: User, second: User) -> None:
        factories.make_price_rule("PKR")
        asked = [
            proposals.propose_price_rule(by=security, currency="PKR", note="A.", jump_bps=bps)
            for bps in (500, 600)
        ]
        proposals.confirm(by=second, proposal_id=asked[0].pk)
        with pytest.raises(proposals.ProposalStale):
            proposals.confirm(by=second, proposal_id=asked[1].pk)
        assert PriceRule.objects.get().jump_bps == 500

    @pytest.mark.parametrize(
        ("changes", "column"),
        [
            ({"least_sources": 1}, "least_sources"),
            ({"least_sources": None}, "least_sources"),
            ({"spread_bps": 0}, "spread_bps"),
            ({"spread_bps": 5_001}, "spread_bps"),
            ({"jump_bps": 0}, "jump_bps"),
            ({"floor": "0"}, "floor"),
            ({"floor": "NaN"}, "floor"),
            ({"floor": "-1"}, "floor"),
            ({"floor": "1e6"}, "floor"),
            ({"ceiling": "1000000"}, ""),
            ({"quote_s": 5}, "quote_s"),
            ({"quote_s": 86_401}, "quote_s"),
        ],
    )
    def test_that_would_be_none_is_refused_with_its_field(
        self, security: User, changes: dict[str, Any], column: str
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            proposals.propose_price_rule(by=security, currency="PKR", note="A.", **RULE | changes)
        assert code_of(refusal)[0] == column
        assert (Proposal.objects.count(), PriceRule.objects.count()) == (0, 0)

    def test_of_no_currency_is_refused(self, security: User) -> None:
        with pytest.raises(currency.UnknownCurrency):
            proposals.propose_price_rule(by=security, currency="BTC", note="A.", **RULE)

    @pytest.mark.parametrize("role", ["treasurer", "officer", "approver", "releaser", "auditor"])
    def test_is_for_security_administrators(self, program: Program, role: str) -> None:
        by = factories.make_member(program, role, "somebody")
        with pytest.raises(authority.RoleMissing):
            proposals.propose_price_rule(by=by, currency="PKR", note="A.", **RULE)
        assert Proposal.objects.count() == 0

    @pytest.mark.parametrize(
        ("changes", "constraint"),
        [
            ({"least_sources": 1}, "pricerule_never_one_source"),
            ({"floor": 0}, "pricerule_floor_below_ceiling"),
            ({"ceiling": 1_000}, "pricerule_floor_below_ceiling"),
            ({"jump_bps": 5_001}, "pricerule_limits_in_range"),
        ],
    )
    def test_that_would_be_none_is_refused_by_the_database_too(
        self, changes: dict[str, Any], constraint: str
    ) -> None:
        factories.make_price_rule("PKR")
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            PriceRule.objects.update(**changes)


class TestSource:
    def ask(self, by: User, **changes: Any) -> Proposal:
        asked = SOURCE | {"address": ADDRESS} | changes
        return proposals.propose_price_source(by=by, note="Known.", **asked)

    def test_is_asked_once_another_security_administrator_confirms_it(
        self, security: User, second: User
    ) -> None:
        asked = self.ask(security, address=f"{ADDRESS}/")
        with pytest.raises(SamePersonTwice):
            proposals.confirm(by=security, proposal_id=asked.pk)
        assert PriceSource.objects.count() == 0
        proposals.confirm(by=second, proposal_id=asked.pk)
        made = PriceSource.objects.get()
        assert (made.name, made.kind, made.address, made.fresh_s) == ("CoinGecko", "coingecko", ADDRESS, 300)
        assert actions() == ["price_source.create"]

    def test_at_another_address_has_said_nothing_yet(self, security: User, second: User) -> None:
        found = factories.make_price_source("PKR", "coingecko", ADDRESS)
        PriceReading.objects.create(
            source=found, value=28_100_000, value_at=timezone.now(), asked_at=timezone.now()
        )
        asked = proposals.propose_price_source(
            by=security, note="Moved.", source_id=found.pk, address="https://pro-api.coingecko.com"
        )
        proposals.confirm(by=second, proposal_id=asked.pk)
        found.refresh_from_db()
        assert (found.address, PriceReading.objects.count()) == ("https://pro-api.coingecko.com", 0)
        assert actions() == ["price_source.change"]

    def test_is_ended_for_good(self, security: User, second: User) -> None:
        found = factories.make_price_source("PKR", "coingecko", ADDRESS)
        asked = proposals.propose_price_source(by=security, note="Gone.", source_id=found.pk, is_ended=True)
        proposals.confirm(by=second, proposal_id=asked.pk)
        found.refresh_from_db()
        assert found.ended_at is not None
        with pytest.raises(InvalidInput) as refusal:
            proposals.propose_price_source(by=security, note="Back.", source_id=found.pk, is_ended=False)
        assert code_of(refusal) == ("source_id", "source_ended")
        assert actions() == ["price_source.end"]

    @pytest.mark.parametrize(
        ("changes", "column", "code"),
        [
            ({"address": "http://api.coingecko.com"}, "address", "address_refused"),
            ({"address": "https://user@api.coingecko.com"}, "address", "address_refused"),
            ({"address": "https://127.0.0.1\\@x"}, "address", "address_refused"),
            ({"address": "https://api.coingecko.com?x=1"}, "address", "address_refused"),
            ({"address": "https://api.coingecko.com#x"}, "address", "address_refused"),
            ({"address": "file:///etc/passwd"}, "address", "address_refused"),
            ({"address": ""}, "address", "address_refused"),
            ({"kind": "file", "address": "../pkr.json"}, "address", "address_refused"),
            ({"kind": "file", "address": "/etc/passwd"}, "address", "address_refused"),
            ({"kind": "manual"}, "address", "address_refused"),
            ({"kind": "nobody"}, "kind", "invalid"),
            ({"name": ""}, "name", "invalid"),
            ({"fresh_s": 0}, "fresh_s", "invalid"),
            ({"fresh_s": None}, "fresh_s", "missing"),
            ({"currency": "XYZ"}, "currency", "unknown_currency"),
        ],
    )
    def test_that_cannot_be_asked_is_refused_with_its_field(
        self, security: User, changes: dict[str, Any], column: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            self.ask(security, **changes)
        assert code_of(refusal) == (column, code)
        assert Proposal.objects.count() == 0

    def test_is_not_asked_twice_under_another_name(self, security: User) -> None:
        factories.make_price_source("PKR", "coingecko", ADDRESS, name="CoinGecko")
        with pytest.raises(InvalidInput, match="asked at this address"):
            self.ask(security, name="CoinGecko again")
        with pytest.raises(IntegrityError, match="pricesource_asked_once"), transaction.atomic():
            factories.make_price_source("PKR", "coingecko", ADDRESS, name="CoinGecko again")

    @pytest.mark.parametrize("changes", [{"kind": "kraken"}, {"currency": "USD"}])
    def test_keeps_currency_and_kind(self, security: User, changes: dict[str, str]) -> None:
        found = factories.make_price_source("PKR", "coingecko", ADDRESS)
        with pytest.raises(InvalidInput) as refusal:
            proposals.propose_price_source(by=security, note="A.", source_id=found.pk, **changes)
        assert code_of(refusal)[1] == "source_fixed"

    def test_is_one_of_twenty_at_most(self, security: User) -> None:
        for number in range(20):
            factories.make_price_source("PKR", "file", f"{number}.json", name=f"File {number}")
        with pytest.raises(InvalidInput) as refusal:
            self.ask(security)
        assert code_of(refusal) == ("currency", "too_many_sources")

    def test_that_is_not_there_is_refused(self, security: User) -> None:
        with pytest.raises(InvalidInput) as refusal:
            proposals.propose_price_source(by=security, note="A.", source_id=999, fresh_s=60)
        assert code_of(refusal) == ("source_id", "unknown_source")


class TestManualPrice:
    """R-12: one treasurer gives it, another confirms what they have seen, and the MAC covers both."""

    def test_counts_as_of_when_it_was_given_once_another_confirms_it(
        self, treasurer: User, other: User, by_hand: PriceSource
    ) -> None:
        given = prices.give(
            by=treasurer, source_id=by_hand.pk, price="28100000.00", note="State Bank, 12:00."
        )
        assert manual.newest([by_hand.pk]) == {}
        prices.confirm(by=other, manual_price_id=given.pk, price="28100000")
        found = manual.newest([by_hand.pk])[by_hand.pk]
        assert found.row is not None
        assert (found.row.price, found.row.given_at, found.row.state) == (
            Decimal(28_100_000),
            given.given_at,
            "confirmed",
        )
        assert AuditEvent.objects.filter(action__startswith="manual_price").count() == 2

    def test_is_refused_to_who_gave_it(self, treasurer: User, by_hand: PriceSource) -> None:
        given = prices.give(by=treasurer, source_id=by_hand.pk, price="28100000", note="State Bank.")
        with pytest.raises(SamePersonTwice):
            prices.confirm(by=treasurer, manual_price_id=given.pk, price="28100000")
        with pytest.raises(IntegrityError, match="manualprice_confirmed_by_another"), transaction.atomic():
            ManualPrice.objects.update(confirmed_by=treasurer, confirmed_at=timezone.now())
        assert ManualPrice.objects.get().state == "given"

    def test_is_refused_to_who_has_seen_another_price(
        self, treasurer: User, other: User, by_hand: PriceSource
    ) -> None:
        given = prices.give(by=treasurer, source_id=by_hand.pk, price="28100000", note="State Bank.")
        with pytest.raises(prices.PriceChanged):
            prices.confirm(by=other, manual_price_id=given.pk, price="28100001")
        assert ManualPrice.objects.get().state == "given"

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE payments_manualprice SET price = price + 1",
            "UPDATE payments_manualprice SET given_at = given_at + interval '1 day'",
            "UPDATE payments_manualprice SET given_by_id = (SELECT max(id) FROM auth_user)",
            "UPDATE payments_manualprice SET mac = sha256('x')",
        ],
    )
    def test_is_none_any_more_once_somebody_wrote_behind_the_guards(
        self, statement: str, treasurer: User, other: User, by_hand: PriceSource
    ) -> None:
        given = prices.give(by=treasurer, source_id=by_hand.pk, price="28100000", note="State Bank.")
        prices.confirm(by=other, manual_price_id=given.pk, price="28100000")
        factories.make_user("outsider")
        connection.cursor().execute(statement)
        assert manual.newest([by_hand.pk]) == {by_hand.pk: manual.Given(None, "manual_price_forged")}

    def test_is_withdrawn_by_one_and_leaves_the_one_before(
        self, treasurer: User, other: User, by_hand: PriceSource
    ) -> None:
        rows = []
        for price in ("28000000", "28100000"):
            rows.append(prices.give(by=treasurer, source_id=by_hand.pk, price=price, note="State Bank."))
            prices.confirm(by=other, manual_price_id=rows[-1].pk, price=price)
        prices.withdraw(by=treasurer, manual_price_id=rows[1].pk, note="A typo.")
        found = manual.newest([by_hand.pk])[by_hand.pk].row
        assert found is not None
        assert found.pk == rows[0].pk
        for call in (
            lambda: prices.withdraw(by=other, manual_price_id=rows[1].pk, note="Again."),
            lambda: prices.confirm(by=other, manual_price_id=rows[1].pk, price="28100000"),
            lambda: prices.confirm(by=other, manual_price_id=rows[0].pk, price="28000000"),
        ):
            with pytest.raises(prices.PriceDecided):
                call()

    @pytest.mark.parametrize(
        ("price", "code"),
        [
            ("", "price_malformed"),
            ("NaN", "price_malformed"),
            ("1e7", "price_malformed"),
            ("28,100,000", "price_malformed"),
            ("0", "price_zero"),
            ("-28100000", "price_negative"),
            ("1", "price_out_of_bounds"),
            ("100000000.01", "price_out_of_bounds"),
        ],
    )
    def test_that_is_none_is_refused(
        self, treasurer: User, by_hand: PriceSource, price: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            prices.give(by=treasurer, source_id=by_hand.pk, price=price, note="State Bank.")
        assert code_of(refusal) == ("price", code)
        assert ManualPrice.objects.count() == 0

    @pytest.mark.parametrize(("note", "code"), [(" ", "missing"), ("x" * 301, "too_long")])
    def test_says_where_it_comes_from(
        self, treasurer: User, by_hand: PriceSource, note: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            prices.give(by=treasurer, source_id=by_hand.pk, price="28100000", note=note)
        assert code_of(refusal) == ("note", code)

    def test_is_of_a_manual_source(self, treasurer: User, by_hand: PriceSource) -> None:
        kraken = factories.make_price_source("PKR", "kraken", "https://api.kraken.com")
        for source_id in (kraken.pk, 999_999):
            with pytest.raises(InvalidInput) as refusal:
                prices.give(by=treasurer, source_id=source_id, price="28100000", note="State Bank.")
            assert code_of(refusal) == ("source_id", "unknown_source")

    @pytest.mark.parametrize("role", ["officer", "approver", "releaser", "auditor", "security", "signer"])
    def test_is_for_treasurers(self, program: Program, by_hand: PriceSource, role: str) -> None:
        by = factories.make_member(program, role, "somebody")
        with pytest.raises(authority.RoleMissing):
            prices.give(by=by, source_id=by_hand.pk, price="28100000", note="State Bank.")
        assert ManualPrice.objects.count() == 0

    def test_is_stale_after_its_source_s_time(
        self, treasurer: User, other: User, by_hand: PriceSource
    ) -> None:
        given = prices.give(by=treasurer, source_id=by_hand.pk, price="28100000", note="State Bank.")
        prices.confirm(by=other, manual_price_id=given.pk, price="28100000")
        for after_s, why in ((3_599, ""), (3_600, "stale")):
            found = quotes.stand("PKR", at=given.given_at + timedelta(seconds=after_s))
            assert found is not None
            assert [value["why"] for value in found.verdict.values] == [why]


class TestBreaker:
    """R-12: the breaker closes only by two people, at a price that both have seen."""

    def test_is_closed_by_a_second_treasurer_at_the_price_that_both_saw(
        self, treasurer: User, other: User, breaker: PriceBreaker
    ) -> None:
        watch.tell(timezone.now())
        prices.ask_to_close(
            by=treasurer, breaker_id=breaker.pk, price="39900000", note="A crash of the rupee."
        )
        assert PriceBreaker.objects.get().is_open
        closed = prices.close(by=other, breaker_id=breaker.pk, price="39900000.0")
        assert (closed.is_open, closed.closed_by) == (False, other)
        assert PriceStatus.objects.get().accepted_price == Decimal(39_900_000)
        assert Alarm.objects.get(code="price_breaker_open").closed_at is not None
        assert actions() == ["price_breaker.ask_to_close", "price_breaker.close"]

    def test_is_refused_to_who_asked(self, treasurer: User, breaker: PriceBreaker) -> None:
        prices.ask_to_close(by=treasurer, breaker_id=breaker.pk, price="39900000", note="A crash.")
        with pytest.raises(SamePersonTwice):
            prices.close(by=treasurer, breaker_id=breaker.pk, price="39900000")
        assert PriceBreaker.objects.get().is_open
        assert PriceStatus.objects.get().accepted_price == Decimal(28_100_000)

    def test_is_refused_to_one_alone(self, treasurer: User, breaker: PriceBreaker) -> None:
        with pytest.raises(prices.NobodyAsked):
            prices.close(by=treasurer, breaker_id=breaker.pk, price="39900000")
        assert PriceBreaker.objects.get().is_open

    def test_is_refused_to_who_has_seen_an_earlier_request(
        self, treasurer: User, other: User, breaker: PriceBreaker
    ) -> None:
        prices.ask_to_close(by=treasurer, breaker_id=breaker.pk, price="39900000", note="A crash.")
        prices.ask_to_close(by=treasurer, breaker_id=breaker.pk, price="99000000", note="A crash.")
        with pytest.raises(prices.PriceChanged):
            prices.close(by=other, breaker_id=breaker.pk, price="39900000")
        assert PriceBreaker.objects.get().is_open

    def test_is_refused_twice(self, treasurer: User, other: User, breaker: PriceBreaker) -> None:
        prices.ask_to_close(by=treasurer, breaker_id=breaker.pk, price="39900000", note="A crash.")
        prices.close(by=other, breaker_id=breaker.pk, price="39900000")
        with pytest.raises(prices.BreakerClosed):
            prices.close(by=other, breaker_id=breaker.pk, price="39900000")
        with pytest.raises(prices.BreakerClosed):
            prices.ask_to_close(by=treasurer, breaker_id=breaker.pk, price="39900000", note="Again.")

    @pytest.mark.parametrize("price", ["1", "100000001"])
    def test_is_not_closed_beyond_floor_and_ceiling(
        self, treasurer: User, breaker: PriceBreaker, price: str
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            prices.ask_to_close(by=treasurer, breaker_id=breaker.pk, price=price, note="A crash.")
        assert code_of(refusal) == ("price", "price_out_of_bounds")

    @pytest.mark.parametrize("role", ["officer", "approver", "releaser", "auditor", "security", "signer"])
    def test_is_for_treasurers(self, program: Program, breaker: PriceBreaker, role: str) -> None:
        by = factories.make_member(program, role, "somebody")
        with pytest.raises(authority.RoleMissing):
            prices.ask_to_close(by=by, breaker_id=breaker.pk, price="39900000", note="A crash.")
        with pytest.raises(authority.RoleMissing):
            prices.close(by=by, breaker_id=breaker.pk, price="39900000")
        assert PriceBreaker.objects.get().asked_by is None

    def test_that_is_not_there_is_not_found(self, treasurer: User) -> None:
        with pytest.raises(NotFound):
            prices.close(by=treasurer, breaker_id=999_999, price="39900000")
