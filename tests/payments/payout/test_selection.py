"""The choice of coins: exact answers in small wallets, and what holds in any wallet."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.onchain import fee, tx
from payments.payout import selection
from payments.payout.selection import Bill, FreeCoin, Terms

OURS = b"\x00\x14" + b"\xcc" * 20
EVEN = Terms(feerate_sat_kvb=1_000, long_term_sat_kvb=1_000)
CHEAP = Terms(feerate_sat_kvb=1_000, long_term_sat_kvb=10_000)
DEAR = Terms(feerate_sat_kvb=50_000, long_term_sat_kvb=2_000)
ONE_OUTPUT_WEIGHT = fee.output_weight(OURS)


def coin(number: int, amount_sat: int, weight: int = fee.P2WPKH_INPUT_WEIGHT) -> FreeCoin:
    return FreeCoin(tx.OutPoint(f"{number:064x}", 0), amount_sat, OURS, weight)


def bill(need_sat: int) -> Bill:
    """One payment."""
    return Bill(need_sat, 1, ONE_OUTPUT_WEIGHT)


def amounts(funding: selection.Funding) -> list[int]:
    return [each.amount_sat for each in funding.coins]


class TestChoose:
    def test_prefers_a_match_without_change(self) -> None:
        # Two inputs and one output: 178 vB.
        coins = [coin(1, 500_000), coin(2, 7_000), coin(3, 3_178), coin(4, 4_000)]
        found = selection.choose(bill(10_000), coins, EVEN)
        assert amounts(found) == [7_000, 3_178]
        assert (found.change_sat, found.fee_sat, found.waste) == (0, 178, 0)

    def test_takes_the_smallest_coin_that_suffices_when_nothing_matches(self) -> None:
        coins = [coin(1, 500_000), coin(2, 20_000), coin(3, 5_000)]
        found = selection.choose(bill(10_000), coins, EVEN)
        assert amounts(found) == [20_000]
        assert found.waste == EVEN.change_cost

    def test_takes_the_largest_when_inputs_are_dear_and_no_single_coin_suffices(self) -> None:
        coins = [coin(number, 10_000 + number) for number in range(10)] + [coin(99, 90_000)]
        found = selection.choose(bill(93_000), coins, DEAR)
        assert amounts(found) == [90_000, 10_009, 10_008]

    def test_takes_small_coins_along_when_inputs_are_cheap(self) -> None:
        coins = [coin(number, 4_000) for number in range(6)] + [coin(99, 500_000)]
        found = selection.choose(bill(10_000), coins, CHEAP)
        assert amounts(found) == [4_000] * 3

    def test_leaves_coins_that_cost_more_than_they_hold(self) -> None:
        coins = [coin(1, 3_400), coin(2, 3_401), coin(3, 100_000)]
        assert selection.choose(bill(50_000), coins, DEAR).coins == (coins[2],)
        with pytest.raises(selection.InsufficientCoins):
            selection.choose(bill(1_000), coins[:1], DEAR)

    def test_weighs_every_coin_by_its_own_input(self) -> None:
        multisig = fee.P2WSH_2_OF_3_INPUT_WEIGHT
        terms = Terms(10_000, 10_000, input_weight=multisig, change_weight=172)
        found = selection.choose(bill(10_000), [coin(1, 100_000, multisig)], terms)
        weight = fee.overhead_weight(1, 2) + multisig + ONE_OUTPUT_WEIGHT + 172
        assert (found.weight, found.fee_sat) == (weight, fee.fee_sat(weight=weight, feerate_sat_kvb=10_000))

    def test_never_spends_more_coins_than_the_bound(self) -> None:
        coins = [coin(number, 10_000) for number in range(2_000)]
        assert len(selection.choose(bill(190_000), coins, EVEN).coins) == 20
        with pytest.raises(selection.InsufficientCoins) as refusal:
            selection.choose(bill(200_000), coins, EVEN)
        assert refusal.value.details == {"needed_sat": 200_000, "free_sat": 20_000_000}

    def test_ends_its_search_in_the_worst_of_wallets(self) -> None:
        """No sum of even amounts meets an odd target closely: without the bound this would not end."""
        coins = [coin(number, 2**40 + 2**number * 100_000) for number in range(30)]
        found = selection.choose(bill(15 * 2**40 + 77_777), coins, EVEN)
        assert found.change_sat > 0


class TestMatch:
    @given(
        values=st.lists(st.integers(2_000, 60_000), min_size=1, max_size=9),
        picked=st.sets(st.integers(0, 8), min_size=1),
        over_sat=st.integers(0, 98),
    )
    def test_is_found_whenever_there_is_one(self, values: list[int], picked: set[int], over_sat: int) -> None:
        chosen = [values[index] for index in picked if index < len(values)]
        if not chosen:
            return
        weight = fee.tx_weight(input_count=len(chosen), output_weights=[ONE_OUTPUT_WEIGHT])
        need_sat = sum(chosen) - fee.fee_sat(weight=weight, feerate_sat_kvb=1_000) - over_sat
        if need_sat <= 0:
            return
        coins = [coin(number, value) for number, value in enumerate(values)]
        found = selection.fundings(bill(need_sat), coins, EVEN)["match"]
        best = min(
            sum(subset) - need_sat - fee_of(len(subset))
            for size in range(1, len(values) + 1)
            for subset in itertools.combinations(values, size)
            if sum(subset) - need_sat >= fee_of(len(subset))
        )
        assert found.change_sat == 0
        # The search compares before it rounds to virtual bytes and satoshis.
        assert best <= found.fee_sat - fee_of(len(found.coins)) <= best + 1


def fee_of(inputs: int) -> int:
    """At 1 sat/vB, without change."""
    weight = fee.tx_weight(input_count=inputs, output_weights=[ONE_OUTPUT_WEIGHT])
    return fee.fee_sat(weight=weight, feerate_sat_kvb=1_000)


TERMS = st.builds(
    Terms,
    feerate_sat_kvb=st.integers(1_000, 100_000),
    long_term_sat_kvb=st.integers(1_000, 100_000),
    input_weight=st.just(fee.P2WPKH_INPUT_WEIGHT),
    change_weight=st.just(selection.CHANGE_WEIGHT),
)


class TestAnyWallet:
    @given(
        payments=st.lists(st.integers(1_000, 10**7), min_size=1, max_size=300),
        values=st.lists(st.integers(1, 10**8), max_size=60),
        terms=TERMS,
        shuffled=st.randoms(),
    )
    def test_is_paid_to_the_satoshi_with_the_least_waste_or_refused(
        self, payments: list[int], values: list[int], terms: Terms, shuffled: object
    ) -> None:
        owed = Bill(sum(payments), len(payments), len(payments) * ONE_OUTPUT_WEIGHT)
        coins = [coin(number, value) for number, value in enumerate(values)]
        try:
            found = selection.choose(owed, coins, terms)
        except selection.InsufficientCoins:
            # Then the largest coins do not carry it either.
            worth = sorted((terms.worth(each) for each in coins), reverse=True)[:20]
            base_weight = fee.overhead_weight(1, len(payments)) + owed.outputs_weight
            need = owed.need_sat * selection.SCALE + base_weight * terms.feerate_sat_kvb
            assert sum(value for value in worth if value > 0) < need + selection.SCALE + 3 * 100_000
            return
        assert len(set(found.coins)) == len(found.coins) <= selection.MAX_INPUTS
        assert set(found.coins) <= set(coins)
        assert sum(amounts(found)) == owed.need_sat + found.change_sat + found.fee_sat
        change = [selection.CHANGE_WEIGHT] if found.change_sat else []
        outputs = [ONE_OUTPUT_WEIGHT] * len(payments) + change
        assert found.weight == fee.tx_weight(input_count=len(found.coins), output_weights=outputs)
        least_sat = fee.fee_sat(weight=found.weight, feerate_sat_kvb=terms.feerate_sat_kvb)
        assert found.fee_sat >= least_sat
        if found.change_sat:
            assert found.fee_sat == least_sat
            assert found.change_sat >= terms.change_min_sat >= fee.dust_sat(OURS)
        ways = selection.fundings(owed, coins, terms)
        assert found.waste == min(each.waste for each in ways.values())
        shuffled.shuffle(coins)  # type: ignore[attr-defined]
        assert selection.choose(owed, coins, terms) == found

    @given(values=st.lists(st.integers(5_000, 10**6), min_size=1, max_size=40), terms=TERMS)
    def test_has_the_waste_that_the_documentation_defines(self, values: list[int], terms: Terms) -> None:
        coins = [coin(number, value) for number, value in enumerate(values)]
        for found in selection.fundings(bill(4_000), coins, terms).values():
            spent_weight = len(found.coins) * fee.P2WPKH_INPUT_WEIGHT
            waste = spent_weight * (terms.feerate_sat_kvb - terms.long_term_sat_kvb)
            if found.change_sat:
                waste += selection.CHANGE_WEIGHT * terms.feerate_sat_kvb
                waste += fee.P2WPKH_INPUT_WEIGHT * terms.long_term_sat_kvb
            else:
                exact_sat = fee.fee_sat(weight=found.weight, feerate_sat_kvb=terms.feerate_sat_kvb)
                waste += 4_000 * (found.fee_sat - exact_sat)
            assert found.waste == waste
