"""Groups, coins and fees by arithmetic, compared with txs that are really built."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.onchain import fee, tx
from payments.payout import plan

SCRIPTS = [
    b"\x00\x14" + b"\x01" * 20,
    b"\x51\x20" + b"\x01" * 32,
    b"\xa9\x14" + b"\x01" * 20 + b"\x87",
    b"\x76\xa9\x14" + b"\x01" * 20 + b"\x88\xac",
]
OURS = b"\x00\x14" + b"\xcc" * 20


def line(pk: int, amount_sat: int = 10_000, script: bytes = SCRIPTS[0]) -> plan.Line:
    return plan.Line(pk, script, amount_sat)


def coin(number: int, amount_sat: int) -> plan.FreeCoin:
    return plan.FreeCoin(tx.OutPoint(f"{number:064x}", 0), amount_sat, OURS)


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
        assert len(taken) == (100_000 - 19 * 68 - 115) // 43
        # Nineteen such coins pay the people and nothing of the fee.
        coins = [coin(number, 10_000 * len(taken) // 19) for number in range(20)]
        planned = plan.fund(taken, coins, feerate_sat_kvb=1_000)
        assert len(planned.coins) == plan.MAX_INPUTS
        assert planned.weight <= fee.MAX_STANDARD_WEIGHT

    @given(st.lists(st.sampled_from(SCRIPTS), min_size=1, max_size=60), st.integers(500, 3_000))
    def test_never_exceeds_the_size_of_the_tx_that_is_built(self, scripts: list[bytes], limit: int) -> None:
        lines = [line(pk, script=script) for pk, script in enumerate(scripts)]
        taken = plan.group(lines, max_payments=500, max_vsize_vb=limit)
        planned = plan.fund(taken, [coin(1, 10**9)], feerate_sat_kvb=1_000)
        assert fee.vsize(planned.weight) <= limit


class TestFund:
    def test_takes_the_smallest_coin_that_suffices(self) -> None:
        coins = [coin(1, 500_000), coin(2, 20_000), coin(3, 5_000)]
        planned = plan.fund((line(1),), coins, feerate_sat_kvb=1_000)
        assert planned.coins == (coins[1],)
        assert planned.fee_sat == 141
        assert planned.change_sat == 20_000 - 10_000 - 141

    def test_adds_coins_largest_first_when_none_suffices(self) -> None:
        coins = [coin(1, 3_000), coin(2, 6_000), coin(3, 5_000)]
        planned = plan.fund((line(1),), coins, feerate_sat_kvb=1_000)
        assert planned.coins == (coins[1], coins[2])

    def test_leaves_change_out_when_it_is_not_worth_an_output(self) -> None:
        planned = plan.fund((line(1),), [coin(1, 10_500)], feerate_sat_kvb=1_000)
        assert (planned.change_sat, planned.fee_sat) == (0, 500)

    def test_refuses_with_the_figures_when_coins_are_short(self) -> None:
        with pytest.raises(plan.InsufficientCoins) as refusal:
            plan.fund((line(1),), [coin(1, 10_100)], feerate_sat_kvb=1_000)
        assert refusal.value.details == {"needed_sat": 10_000, "free_sat": 10_100}

    @given(
        amounts=st.lists(st.integers(1_000, 10**7), min_size=1, max_size=40),
        coins=st.lists(st.integers(1_000, 10**8), min_size=1, max_size=30),
        feerate=st.integers(1_000, 100_000),
    )
    def test_balances_to_the_satoshi_or_refuses(
        self, amounts: list[int], coins: list[int], feerate: int
    ) -> None:
        lines = tuple(line(pk, amount) for pk, amount in enumerate(amounts))
        free = [coin(number, amount) for number, amount in enumerate(coins)]
        try:
            planned = plan.fund(lines, free, feerate_sat_kvb=feerate)
        except plan.InsufficientCoins:
            return
        paid_in = sum(c.amount_sat for c in planned.coins)
        assert paid_in == sum(amounts) + planned.change_sat + planned.fee_sat
        assert planned.fee_sat >= fee.fee_sat(weight=planned.weight, feerate_sat_kvb=feerate)
        assert planned.change_sat == 0 or planned.change_sat >= plan.CHANGE_MIN_SAT


class TestFeeCeiling:
    @given(payments=st.integers(1, 2_000), coins_each=st.integers(1, plan.MAX_INPUTS))
    def test_covers_any_list_paid_with_as_many_inputs_as_allowed(
        self, payments: int, coins_each: int
    ) -> None:
        ceiling = plan.fee_ceiling_sat(
            payment_count=payments,
            output_vb=31 * payments,
            group_max_payments=500,
            group_max_vsize_vb=25_000,
            feerate_sat_kvb=20_000,
        )
        total = 0
        for begin in range(0, payments, 500):
            size = min(500, payments - begin)
            weights = [fee.output_weight(OURS)] * (size + 1)
            weight = fee.tx_weight(input_count=coins_each, output_weights=weights)
            total += fee.fee_sat(weight=weight, feerate_sat_kvb=20_000) + plan.CHANGE_MIN_SAT
        assert total <= ceiling
