"""An amount spread over addresses that were never used, each under the cap of their holding (R-28)."""

import pytest

from govpay.errors import InvalidInput
from ledger.treasury import reserve
from payments.models import Holding
from payments.onchain import address, network
from payments.reserve import splitting
from payments.reserve.splitting import Part, TooFewAddresses
from tests import factories
from tests.payments.reserve.conftest import A, B, C

pytestmark = pytest.mark.django_db
COIN = 100_000_000


def test_is_over_as_few_fresh_addresses_as_the_cap_allows(held: Holding) -> None:
    factories.make_scan(held, [])
    assert splitting.split(held, 500 * COIN) == [Part(A, 500 * COIN)]
    assert splitting.split(held, 500 * COIN + 1) == [Part(A, 250 * COIN + 1), Part(B, 250 * COIN)]
    assert sum(part.amount_sat for part in splitting.split(held, 1_234 * COIN + 7)) == 1_234 * COIN + 7


def test_never_names_an_address_that_was_used_even_in_a_block_that_left(held: Holding) -> None:
    reserve.lose([factories.make_scan(held, [(1, B, 900)])])
    factories.make_scan(held, [(2, A, 900)], height=101)
    factories.make_scan(held, [], height=102)
    assert splitting.split(held, COIN) == [Part(C, COIN)]
    with pytest.raises(TooFewAddresses) as refused:
        splitting.split(held, 501 * COIN)
    assert refused.value.details == {"needed": 2, "there": 1}


def test_names_no_address_that_no_scan_has_looked_at(held: Holding) -> None:
    with pytest.raises(TooFewAddresses) as refused:
        splitting.split(held, COIN)
    assert refused.value.details == {"needed": 1, "there": 0}


@pytest.mark.parametrize("amount_sat", [0, 545, 21_000_001 * COIN])
def test_refuses_what_is_no_amount(held: Holding, amount_sat: int) -> None:
    with pytest.raises(InvalidInput):
        splitting.split(held, amount_sat)


def test_is_of_as_many_statements_for_many_addresses(
    held: Holding, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    texts = [
        address.address_from_script(factories.make_script(), network.Network.REGTEST) for _ in range(300)
    ]
    many = factories.make_holding(texts, name="Many", cap_sat=1_000)
    factories.make_scan(many, [])
    with django_assert_num_queries(2):  # type: ignore[operator]
        assert len(splitting.split(many, 300_000)) == 300
