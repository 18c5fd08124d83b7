"""Prices by hand and breakers: two treasurers for either, and nobody else."""

from datetime import timedelta
from decimal import Decimal

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
    PriceSource,
    PriceStatus,
    Program,
)
from payments.prices import manual, quotes, watch
from payments.services import authority, prices
from tests import factories

pytestmark = pytest.mark.django_db


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
