"""Holdings: what may be proposed, that two people set one, and that no address is counted twice (R-28)."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from govpay.errors import Forbidden, InvalidInput, SamePersonTwice
from payments.models import Holding, HoldingAddress, Program, Proposal
from payments.onchain import descriptor
from payments.services import holdings, proposals
from payments.services.proposals import ProposalStale
from tests import factories

pytestmark = pytest.mark.django_db

OURS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
OTHER = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
MAINNET = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
VAULT = {"scope": "reserve:1", "name": "Vault", "kind": "addresses", "note": "The first."}
TPUB = "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp"


@pytest.fixture
def security(program: Program) -> User:
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def second(program: Program) -> User:
    return factories.make_member(program, "security", "samuel")


def refused(by: User, code: str, **asked: Any) -> dict[str, Any]:
    """Propose it, and return the first error; nothing was proposed."""
    before = Proposal.objects.count()
    with pytest.raises(InvalidInput) as found:
        proposals.propose_holding(by=by, **VAULT | asked)
    error = found.value.details["errors"][0]
    assert error["code"] == code
    assert Proposal.objects.count() == before
    return dict(error)


class TestHolding:
    def test_is_there_once_another_person_confirmed_it(self, security: User, second: User) -> None:
        made = proposals.propose_holding(by=security, addresses=[OURS, OTHER.upper()], **VAULT)
        assert made.after["address_count"] == 2
        assert (made.after["first_address"], made.after["last_address"]) == (OURS, OTHER)
        with pytest.raises(SamePersonTwice):
            proposals.confirm(by=security, proposal_id=made.pk)
        assert Holding.objects.count() == 0
        proposals.confirm(by=second, proposal_id=made.pk)
        held = Holding.objects.get()
        assert (held.network, held.cap_sat, held.badge) == ("regtest", 50_000_000_000, "verified")
        assert list(held.addresses.order_by("pk").values_list("address", flat=True)) == [OURS, OTHER]

    def test_gets_another_cap_and_ends_by_two_people(self, security: User, second: User) -> None:
        held = factories.make_holding([OURS])
        ask = {"by": security, "holding_id": held.pk, "note": "Smaller."}
        made = proposals.propose_holding(**ask, cap_sat=100)
        proposals.confirm(by=second, proposal_id=made.pk)
        assert Holding.objects.get().cap_sat == 100
        made = proposals.propose_holding(**ask, is_ended=True)
        proposals.confirm(by=second, proposal_id=made.pk)
        assert HoldingAddress.objects.get().is_live is False
        with pytest.raises(InvalidInput) as found:
            proposals.propose_holding(**ask, cap_sat=5)
        assert found.value.details["errors"][0]["code"] == "holding_ended"
        # Its address is free again.
        proposals.propose_holding(by=security, addresses=[OURS], **VAULT)

    def test_takes_no_address_that_is_in_another(self, security: User, second: User) -> None:
        first = proposals.propose_holding(by=security, addresses=[OURS], **VAULT)
        other = proposals.propose_holding(by=security, addresses=[OTHER, OURS], **VAULT | {"name": "Other"})
        proposals.confirm(by=second, proposal_id=first.pk)
        with pytest.raises(holdings.AddressHeldAlready, match=OURS):
            proposals.confirm(by=second, proposal_id=other.pk)
        assert Holding.objects.count() == 1
        with pytest.raises(IntegrityError), transaction.atomic():
            factories.make_holding([OURS], name="Behind the service")

    def test_is_confirmed_only_as_it_was_seen(self, security: User, second: User) -> None:
        held = factories.make_holding([OURS])
        made = proposals.propose_holding(by=security, holding_id=held.pk, cap_sat=100, note="Smaller.")
        Holding.objects.update(cap_sat=7)
        with pytest.raises(ProposalStale):
            proposals.confirm(by=second, proposal_id=made.pk)

    def test_names_row_and_rule_of_each_address_that_is_none(self, security: User) -> None:
        error = refused(security, "address_mainnet", addresses=[OURS, MAINNET])
        assert (error["row"], error["column"]) == (2, "address")
        error = refused(security, "address_twice", addresses=[OURS, OURS.upper()])
        assert error["row"] == 2
        refused(security, "rows_out_of_range", addresses=[])
        refused(security, "rows_out_of_range")

    def test_is_refused_where_a_word_is_missing_or_none(self, security: User) -> None:
        refused(security, "missing", name=None, addresses=[OURS])
        refused(security, "network_is_ours", network="signet", addresses=[OURS])
        refused(security, "invalid", scope="The Reserve", addresses=[OURS])
        refused(security, "invalid", cap_sat=0, addresses=[OURS])
        factories.make_holding([OTHER])
        refused(security, "invalid", addresses=[OURS])
        refused(security, "unknown_holding", holding_id=10**6, cap_sat=5)

    def test_keeps_its_addresses_for_good(self, security: User) -> None:
        held = factories.make_holding([OTHER])
        for change in ({"kind": "declared"}, {"scope": "reserve:2"}, {"addresses": [OURS]}):
            with pytest.raises(InvalidInput) as found:
                proposals.propose_holding(by=security, holding_id=held.pk, note="Other.", **change)
            assert found.value.details["errors"][0]["code"] == "holding_fixed"
        with pytest.raises(InvalidInput) as found:
            proposals.propose_holding(by=security, holding_id=held.pk, note="Same.", cap_sat=held.cap_sat)
        assert found.value.details["errors"][0]["code"] == "nothing_changes"

    def test_is_for_security_administrators(self, officer: User) -> None:
        with pytest.raises(Forbidden):
            proposals.propose_holding(by=officer, addresses=[OURS], **VAULT)
        with pytest.raises(Forbidden):
            holdings.gather(by=officer, kind="addresses", addresses=[OURS])


class TestDeclared:
    ASK = {"kind": "declared", "network": "bitcoin"}

    def test_holds_what_was_stated_and_is_not_verified(self, security: User, second: User) -> None:
        made = proposals.propose_holding(by=security, addresses=[f"{MAINNET} 600"], **VAULT | self.ASK)
        proposals.confirm(by=second, proposal_id=made.pk)
        row = HoldingAddress.objects.select_related("holding").get()
        assert (row.address, row.declared_sat, row.script_pubkey) == (MAINNET, 600, None)
        assert row.holding.badge == "declared"

    def test_is_refused_without_network_statement_or_checksum(self, security: User) -> None:
        refused(security, "network_needed", kind="declared", addresses=[f"{MAINNET} 600"])
        refused(security, "address_scanned_here", addresses=[f"{OURS} 5"], **self.ASK)
        refused(security, "address_checksum", addresses=[f"{MAINNET[:-1]}5 5"], **self.ASK)
        refused(security, "address_checksum", addresses=["1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3 5"], **self.ASK)
        refused(security, "address_mixed_case", addresses=[f"bc1Q{MAINNET[4:]} 5"], **self.ASK)
        refused(security, "amount_missing", addresses=[MAINNET], **self.ASK)
        refused(security, "amount_fraction", addresses=[f"{MAINNET} 0.5"], **self.ASK)

    def test_never_repeats_a_key_that_is_given_as_an_address(self, security: User) -> None:
        key = "cVpF924EspNh8KjYsfhgY96mmxvT6DgdWiTYMtMjuM74hJaU5psW"
        error = refused(security, "address_is_secret", addresses=[f"{key} 5"], **self.ASK)
        assert key not in error["message"]


class TestDescriptor:
    @pytest.mark.parametrize(
        ("body", "span", "code"),
        [
            (f"wpkh({TPUB}/0/*)", (None, None), "missing"),
            (f"wpkh({TPUB}/0/1)", (0, 1), "out_of_place"),
            (f"wpkh({TPUB}/0/*)", (5, 4), "out_of_range"),
            (f"wpkh({TPUB}/0/*)", (0, 1_000), "out_of_range"),
            (f"wpkh({TPUB}/<0;1>/*)", (0, 1), "descriptor_multipath"),
        ],
    )
    def test_has_a_range_where_it_can_have_one(
        self, security: User, body: str, span: tuple[int | None, int | None], code: str
    ) -> None:
        text = descriptor.with_checksum(body)
        with pytest.raises(InvalidInput) as found:
            holdings.gather(
                by=security, kind="descriptor", descriptor=text, first_index=span[0], last_index=span[1]
            )
        assert found.value.details["errors"][0]["code"] == code

    def test_needs_its_checksum_and_no_addresses_beside_it(self, security: User) -> None:
        ask = {"by": security, "kind": "descriptor", "first_index": 0, "last_index": 1}
        with pytest.raises(descriptor.InvalidDescriptor) as found:
            holdings.gather(**ask, descriptor=f"wpkh({TPUB}/0/*)#qqqqqqqq")
        assert found.value.details["rule"] == "checksum"
        with pytest.raises(InvalidInput, match="node makes"):
            holdings.gather(**ask, descriptor="", addresses=[OURS])
