"""The statement of a trust: what people are due is covered, and its bitcoin is counted by books, lots and addresses."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ledger import reports
from ledger.models import ReserveBalance, ReserveScan
from ledger.reports import documents
from payments.models import HoldingAddress, Trust
from tests import factories
from tests.ledger.reports.asking import columns

pytestmark = pytest.mark.django_db


@pytest.fixture
def trust() -> Trust:
    """It bought the golden payment at 28.1M, twice, and sold one at 27.0M."""
    made = factories.make_trust(cash_minor=10_000_000)
    bought = {"currency": "PKR", "amount_sat": 51_601, "value_minor": 1_449_988, "reference": "At 28.1M"}
    for _ in range(2):
        factories.decide(made, "purchase", **bought)
    factories.decide(made, "sale", **bought | {"value_minor": 1_393_227, "reference": "At 27.0M"})
    return made


def scan(trust: Trust, amount_sat: int) -> ReserveScan:
    """What was found on the trust's address a minute ago."""
    made = ReserveScan.objects.create(
        network="regtest",
        block_hash="ab" * 32,
        height=7,
        block_at=timezone.now() - timedelta(minutes=1),
    )
    address = HoldingAddress.objects.get(holding__scope=trust.scope)
    ReserveBalance.objects.create(
        scan=made,
        scope=trust.scope,
        holding="Takings",
        holding_number=address.holding_id,
        network="regtest",
        address=address.address,
        badge="verified",
        amount_sat=amount_sat,
        utxo_count=1,
    )
    return made


def told(trust: Trust) -> dict[tuple[str, str], tuple[int, str]]:
    found = columns("trust", "part", "item", "amount", "note", scope=trust.scope)
    return {(part, item): (amount, note) for part, item, amount, note in found}


class TestStatement:
    def test_tells_the_money_and_the_line_nobody_published(self, trust: Trust) -> None:
        found = told(trust)
        assert found["capital", ""][0] == 10_000_000
        assert found["cash", ""][0] == 10_000_000 - 2 * 1_449_988 + 1_393_227
        assert found["owed to people", ""][0] == 0
        assert found["cash above what people are due", ""][1] == "people are covered"
        assert found["lots", "gained, by FIFO"][0] == -56_761
        assert found["lots", "cost of what is left, by FIFO"] == (1_449_988, "1 lots")

    def test_ties_to_addresses_at_a_block_and_names_what_differs(self, trust: Trust) -> None:
        assert told(trust)["difference", "books less addresses"] == (51_601, "nothing was counted yet")
        scan(trust, 51_601)
        found = told(trust)
        assert found["bitcoin on addresses", ""] == (51_601, f"block 7 {'ab' * 32}")
        assert found["difference", "books less addresses"] == (0, "none")
        assert found["difference", "books less lots"] == (0, "none")
        address = HoldingAddress.objects.get(holding__scope=trust.scope).address
        assert found["address", address] == (51_601, "verified at block 7")

    @pytest.mark.parametrize(
        ("on_addresses", "difference", "note"),
        [
            (51_600, 1, "booked, and not on an address of its holdings at this block"),
            (51_700, -99, "on its addresses, and not booked by then"),
        ],
    )
    def test_names_a_difference(self, trust: Trust, on_addresses: int, difference: int, note: str) -> None:
        scan(trust, on_addresses)
        assert told(trust)["difference", "books less addresses"] == (difference, note)

    def test_is_signed(self, trust: Trust) -> None:
        document = documents.get_document("trust")
        assert "signed" in [form.name for form in documents.forms_of(document)]
        asked = reports.ask(document, now=timezone.now(), scope=trust.scope)
        assert b"".join(documents.produce(document, "pdf", asked)).startswith(b"%PDF")

    def test_says_of_a_name_that_was_mistyped_that_nothing_is_known_of_it(self, trust: Trust) -> None:
        """Nothing differs there, and a signed page would say so."""
        found = columns("trust", "part", "note", scope="trust:9")
        notes = [note for part, note in found if part == "difference"]
        assert notes == ["THERE ARE NO BOOKS OF SUCH A TRUST"] * 2
