"""Rules and sources of prices: set by two security administrators, and refused by field where they would be none."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from govpay.errors import InvalidInput, SamePersonTwice
from ledger.models import AuditEvent
from payments.models import (
    PriceReading,
    PriceRule,
    PriceSource,
    Program,
    Proposal,
)
from payments.prices import currency, watch
from payments.services import authority, proposals
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
            ({"ceiling": "1000000"}, "ceiling"),
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
            ({"name": "Coin\nGecko"}, "name", "not_printable"),
            ({"is_ended": True}, "is_ended", "nothing_to_end"),
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
        with pytest.raises(InvalidInput, match="asked at this address") as refusal:
            self.ask(security, name="CoinGecko again")
        assert code_of(refusal) == ("address", "asked_already")
        with pytest.raises(IntegrityError, match="pricesource_asked_once"), transaction.atomic():
            factories.make_price_source("PKR", "coingecko", ADDRESS, name="CoinGecko again")

    def test_has_a_name_of_its_own(self, security: User) -> None:
        factories.make_price_source("PKR", "kraken", "https://api.kraken.com", name="CoinGecko")
        with pytest.raises(InvalidInput) as refusal:
            self.ask(security)
        assert code_of(refusal) == ("name", "name_taken")

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
