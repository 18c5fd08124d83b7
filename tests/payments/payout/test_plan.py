"""Groups, coins and fees by arithmetic, compared with txs that are really built."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.onchain import fee, tx
from payments.payout import plan, selection
from payments.payout.selection import FreeCoin, InsufficientCoins, Terms

SCRIPTS = [
    b"\x00\x14" + b"\x01" * 20,
    b"\x51\x20" + b"\x01" * 32,
    b"\xa9\x14" + b"\x01" * 20 + b"\x87",
    b"\x76\xa9\x14" + b"\x01" * 20 + b"\x88\xac",
]
OURS = b"\x00\x14" + b"\xcc" * 20
TERMS = Terms(feerate_sat_kvb=1_000, long_term_sat_kvb=1_000)


def line(pk: int, amount_sat: int = 10_000, script: bytes = SCRIPTS[0]) -> plan.Line:
    return plan.Line(pk, script, amount_sat)


def coin(number: int, amount_sat: int) -> FreeCoin:
    return FreeCoin(tx.OutPoint(f"{number:064x}", 0), amount_sat, OURS)


class TestGroup:
    def test_takes_at_most_the_number_of_payments(self) -> None:
        lines = [line(pk) for pk in range(600)]
        assert plan.group(lines, max_payments=500, max_vsize_vb=25_000) == tuple(lines[:500])

    def test_takes_at_most_the_size(self) -> None:
        lines = [line(pk, script=SCRIPTS[1]) for pk in range(600)]
        taken = plan.group(lines, max_payments=600, max_vsize_vb=25_000)
        # 43 vB an output beside one input, change and overhead.
        assert len(taken) == (25_000 - 113) // 43

    def test_takes_one_payment_whatever_the_size(self) -> None:
        assert plan.group([line(1)], max_payments=500, max_vsize_vb=1) == (line(1),)

    def test_leaves_room_for_all_the_inputs_that_the_network_relays(self) -> None:
        lines = [line(pk, script=SCRIPTS[1]) for pk in range(2_400)]
        taken = plan.group(lines, max_payments=3_000, max_vsize_vb=99_000)
        assert len(taken) == (100_000 - 21 * 68 - 3 * 31 - 115) // 43
        # Nineteen such coins pay the people and nothing of the fee.
        coins = [coin(number, 10_000 * len(taken) // 19) for number in range(20)]
        planned = plan.fund(taken, coins, TERMS)
        assert len(planned.coins) == selection.MAX_INPUTS
        split = plan.split(planned, TERMS, plan.ChangeWish(4, 1_000))
        assert len(split.change) == plan.MAX_CHANGE
        bumped = split.weight + plan.BUMP_INPUTS * fee.P2WPKH_INPUT_WEIGHT
        assert bumped <= fee.MAX_STANDARD_WEIGHT

    @given(st.lists(st.sampled_from(SCRIPTS), min_size=1, max_size=60), st.integers(500, 3_000))
    def test_never_exceeds_the_size_of_the_tx_that_is_built(self, scripts: list[bytes], limit: int) -> None:
        lines = [line(pk, script=script) for pk, script in enumerate(scripts)]
        taken = plan.group(lines, max_payments=500, max_vsize_vb=limit)
        planned = plan.fund(taken, [coin(1, 10**9)], TERMS)
        assert fee.vsize(planned.weight) <= limit


class TestFund:
    def test_takes_the_smallest_coin_that_suffices(self) -> None:
        coins = [coin(1, 500_000), coin(2, 20_000), coin(3, 5_000)]
        planned = plan.fund([line(1)], coins, TERMS)
        assert planned.coins == (coins[1],)
        assert planned.fee_sat == 141
        assert planned.change == (20_000 - 10_000 - 141,)

    def test_leaves_change_out_when_it_is_not_worth_an_output(self) -> None:
        planned = plan.fund([line(1)], [coin(1, 10_500)], TERMS)
        assert (planned.change, planned.fee_sat) == ((), 500)

    def test_refuses_with_the_figures_when_coins_are_short(self) -> None:
        with pytest.raises(InsufficientCoins) as refusal:
            plan.fund([line(1)], [coin(1, 10_100)], TERMS)
        assert refusal.value.details == {"needed_sat": 10_000, "free_sat": 10_100}


class TestFundPart:
    def test_halves_the_lines_until_the_coins_carry_them(self) -> None:
        lines = [line(pk) for pk in range(1, 11)]
        planned = plan.fund_part(lines, [coin(1, 26_000)], TERMS)
        assert planned is not None
        assert planned.lines == tuple(lines[:2])

    def test_goes_down_to_one_line(self) -> None:
        planned = plan.fund_part([line(1), line(2), line(3)], [coin(1, 10_200)], TERMS)
        assert planned is not None
        assert planned.lines == (line(1),)

    def test_is_nothing_when_not_even_one_line_fits(self) -> None:
        assert plan.fund_part([line(1), line(2)], [coin(1, 10_000)], TERMS) is None


class TestSplit:
    def whole(self, change_sat: int) -> plan.Plan:
        return plan.fund([line(1)], [coin(1, 10_141 + change_sat)], TERMS)

    def test_makes_about_equal_outputs_and_pays_for_them(self) -> None:
        found = plan.split(self.whole(100_001), TERMS, plan.ChangeWish(3, 1_000))
        # Two more outputs of 31 vB.
        assert found.fee_sat == 141 + 62
        assert found.change == (33_313, 33_313, 33_313)
        odd = plan.split(self.whole(100_003), TERMS, plan.ChangeWish(3, 1_000))
        assert odd.change == (33_315, 33_313, 33_313)

    def test_makes_as_many_as_hold_what_is_useful(self) -> None:
        found = plan.split(self.whole(100_000), TERMS, plan.ChangeWish(4, 40_000))
        assert found.change == (49_985, 49_984)

    def test_leaves_one_that_is_not_worth_splitting(self) -> None:
        whole = self.whole(100_000)
        assert plan.split(whole, TERMS, plan.ChangeWish(4, 60_000)) == whole

    def test_never_makes_more_than_a_payout_should_carry(self) -> None:
        found = plan.split(self.whole(10**7), TERMS, plan.ChangeWish(100, 1_000))
        assert len(found.change) == plan.MAX_CHANGE == 4

    @given(
        change_sat=st.integers(1_000, 10**7),
        count=st.integers(1, 10),
        each_sat=st.integers(0, 10**6),
        feerate=st.integers(1_000, 200_000),
    )
    def test_keeps_the_sum_the_feerate_and_the_least_amount(
        self, change_sat: int, count: int, each_sat: int, feerate: int
    ) -> None:
        terms = Terms(feerate, 3_000)
        whole = plan.fund([line(1)], [coin(1, 10_000 + 141 * feerate // 1_000 + 1 + change_sat)], terms)
        found = plan.split(whole, terms, plan.ChangeWish(count, each_sat))
        assert found.change_sat + found.fee_sat == whole.change_sat + whole.fee_sat
        least_fee_sat = fee.fee_sat(weight=found.weight, feerate_sat_kvb=feerate)
        assert found.fee_sat == least_fee_sat or not found.change
        weights = [fee.output_weight(OURS)] * (1 + len(found.change))
        assert found.weight == fee.tx_weight(input_count=1, output_weights=weights)
        assert all(amount >= terms.change_min_sat for amount in found.change)
        if len(found.change) > 1:
            assert min(found.change) >= each_sat
            assert max(found.change) - min(found.change) < len(found.change)


class TestFeeCeiling:
    @given(payments=st.integers(1, 2_000), coins_each=st.integers(1, selection.MAX_INPUTS))
    def test_covers_any_list_paid_with_as_many_inputs_as_allowed(
        self, payments: int, coins_each: int
    ) -> None:
        ceiling = plan.fee_ceiling_sat(
            payment_count=payments,
            output_vb=31 * payments,
            group_max_payments=500,
            group_max_vsize_vb=25_000,
            terms=Terms(20_000, 2_000),
        )
        total = 0
        for begin in range(0, payments, 500):
            size = min(500, payments - begin)
            weights = [fee.output_weight(OURS)] * (size + plan.MAX_CHANGE)
            weight = fee.tx_weight(input_count=coins_each, output_weights=weights)
            total += fee.fee_sat(weight=weight, feerate_sat_kvb=20_000) + selection.CHANGE_MIN_SAT
        assert total <= ceiling
