"""Replacements by arithmetic: whatever the coins and rates, payments and inputs stay, and BIP125 is met."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.onchain import fee, tx
from payments.payout import rbf, selection

OURS = b"\x00\x14" + b"\xcc" * 20
SPARE = bytes(22)
SCRIPTS = [b"\x00\x14" + b"\x01" * 20, b"\x51\x20" + b"\x01" * 32, b"\xa9\x14" + b"\x01" * 20 + b"\x87"]
FREE = rbf.Outbid(fee_sat=0, feerate_sat_kvb=0, incremental_sat_kvb=0)


def coin(number: int, amount_sat: int) -> selection.FreeCoin:
    return selection.FreeCoin(tx.OutPoint(f"{number:064x}", 0), amount_sat, OURS, fee.P2WPKH_INPUT_WEIGHT)


def change_script(number: int) -> bytes:
    return b"\x00\x14" + bytes([0xCC, number]) * 10


def old_version(
    *, inputs: int = 1, payments: list[tx.Output], change_sat: list[int], fee_sat: int
) -> rbf.Old:
    """A version as it was sealed: what is left of its inputs is the fee."""
    change = tuple(tx.Output(amount, change_script(number)) for number, amount in enumerate(change_sat))
    return rbf.Old(
        inputs=tuple(tx.OutPoint(f"{number:064x}", 7) for number in range(1, inputs + 1)),
        inputs_sat=sum(output.amount_sat for output in (*payments, *change)) + fee_sat,
        payments=tuple(payments),
        change=change,
    )


def price(feerate_sat_kvb: int) -> rbf.Price:
    return lambda weight: fee.fee_sat(weight=weight, feerate_sat_kvb=feerate_sat_kvb)


def build(old: rbf.Old, coins: list[selection.FreeCoin], feerate_sat_kvb: int, outbid: rbf.Outbid = FREE):  # type: ignore[no-untyped-def]
    return rbf.build(
        old,
        coins,
        asked=price(feerate_sat_kvb),
        least=outbid.least_sat,
        input_weight=fee.P2WPKH_INPUT_WEIGHT,
        spare_script=SPARE,
    )


class TestBuild:
    def test_lets_the_change_pay(self) -> None:
        old = old_version(payments=[tx.Output(50_000, SCRIPTS[0])], change_sat=[30_000], fee_sat=282)
        found = build(old, [coin(9, 10**8)], 10_000)
        assert (found.added, found.fee_sat, found.vsize_vb) == ((), 1_410, 141)
        assert found.change == (tx.Output(30_000 + 282 - 1_410, change_script(0)),)

    def test_lets_the_largest_of_several_change_outputs_pay(self) -> None:
        old = old_version(
            payments=[tx.Output(50_000, SCRIPTS[0])], change_sat=[9_000, 30_000, 8_000], fee_sat=400
        )
        found = build(old, [], 10_000)
        assert [output.amount_sat for output in found.change] == [9_000, 30_400 - found.fee_sat, 8_000]

    def test_gives_up_the_smallest_change_for_the_fee_before_it_adds_a_coin(self) -> None:
        old = old_version(payments=[tx.Output(50_000, SCRIPTS[0])], change_sat=[3_000, 2_000], fee_sat=400)
        found = build(old, [coin(9, 10**6)], 20_000)
        assert found.added == ()
        assert found.change == (tx.Output(5_400 - found.fee_sat, change_script(0)),)
        assert found.fee_sat == found.vsize_vb * 20

    def test_spends_what_is_no_output_worth_on_the_fee(self) -> None:
        old = old_version(payments=[tx.Output(50_000, SCRIPTS[0])], change_sat=[1_500], fee_sat=282)
        found = build(old, [coin(9, 10**6)], 10_000)
        assert (found.added, found.change, found.fee_sat) == ((), (), 1_782)
        assert found.asked_sat == found.vsize_vb * 10 <= found.fee_sat

    def test_adds_the_smallest_coin_that_suffices_and_keeps_the_change_script(self) -> None:
        old = old_version(payments=[tx.Output(50_000, SCRIPTS[0])], change_sat=[1_200], fee_sat=282)
        coins = [coin(1, 2_000), coin(2, 9_000), coin(3, 80_000)]
        found = build(old, coins, 20_000)
        assert found.added == (coins[1],)
        assert found.change == (tx.Output(1_482 + 9_000 - found.fee_sat, change_script(0)),)

    def test_makes_change_where_there_was_none_when_it_adds_a_coin(self) -> None:
        old = old_version(payments=[tx.Output(50_000, SCRIPTS[0])], change_sat=[], fee_sat=282)
        found = build(old, [coin(1, 40_000)], 10_000)
        assert found.change == (tx.Output(40_282 - found.fee_sat, SPARE),)

    def test_adds_no_coin_that_would_leave_no_change(self) -> None:
        """F29: it would pay the fee to the satoshi, and everything that is left of it would be gone."""
        old = old_version(payments=[tx.Output(50_000, SCRIPTS[0])], change_sat=[], fee_sat=282)
        with pytest.raises(selection.InsufficientCoins):
            build(old, [coin(1, 2_200)], 10_000)

    def test_adds_several_of_the_largest_when_no_single_coin_suffices(self) -> None:
        old = old_version(payments=[tx.Output(50_000, SCRIPTS[0])], change_sat=[], fee_sat=282)
        coins = [coin(number, 2_000 + number) for number in range(1, 8)]
        found = build(old, coins, 20_000)
        assert [added.amount_sat for added in found.added] == [2_007, 2_006, 2_005, 2_004, 2_003, 2_002]
        assert found.change[0].amount_sat >= selection.CHANGE_MIN_SAT

    def test_never_grows_over_what_the_network_relays(self) -> None:
        payments = [tx.Output(10_000, SCRIPTS[0])] * 3_221
        old = old_version(payments=payments, change_sat=[], fee_sat=100_000)
        with pytest.raises(selection.InsufficientCoins):
            build(old, [coin(1, 10**8)], 2_000)


class TestOutbid:
    def test_pays_for_all_that_is_evicted_and_for_its_own_relay(self) -> None:
        outbid = rbf.Outbid(fee_sat=5_000, feerate_sat_kvb=2_000, incremental_sat_kvb=1_000)
        assert outbid.least_sat(4 * 1_000) == 6_000

    def test_has_a_strictly_higher_feerate(self) -> None:
        outbid = rbf.Outbid(fee_sat=100, feerate_sat_kvb=50_000, incremental_sat_kvb=1_000)
        assert outbid.least_sat(4 * 1_000) == 50_002

    def test_is_never_below_the_memory_pools_minimum(self) -> None:
        outbid = rbf.Outbid(
            fee_sat=100, feerate_sat_kvb=1_000, incremental_sat_kvb=1_000, mempool_min_sat_kvb=9_000
        )
        assert outbid.least_sat(4 * 1_000) == 9_000


AMOUNTS = st.integers(330, 200_000)


class TestEveryReplacement:
    @given(
        payments=st.lists(st.tuples(AMOUNTS, st.sampled_from(SCRIPTS)), min_size=1, max_size=30),
        inputs=st.integers(1, 20),
        change_sat=st.lists(st.integers(1_000, 60_000), max_size=4),
        old_fee_sat=st.integers(200, 20_000),
        coins_sat=st.lists(st.integers(500, 90_000), max_size=25),
        feerate_sat_kvb=st.integers(1_000, 60_000),
        evicted_sat=st.integers(0, 20_000),
    )
    def test_keeps_the_payments_and_the_inputs_and_meets_the_rules(
        self,
        payments: list[tuple[int, bytes]],
        inputs: int,
        change_sat: list[int],
        old_fee_sat: int,
        coins_sat: list[int],
        feerate_sat_kvb: int,
        evicted_sat: int,
    ) -> None:
        outputs = [tx.Output(amount, script) for amount, script in payments]
        old = old_version(inputs=inputs, payments=outputs, change_sat=change_sat, fee_sat=old_fee_sat)
        coins = [coin(100 + number, amount) for number, amount in enumerate(coins_sat)]
        weight = fee.tx_weight(
            input_count=inputs,
            output_weights=[fee.output_weight(o.script_pubkey) for o in (*outputs, *old.change)],
        )
        outbid = rbf.Outbid(
            fee_sat=max(old_fee_sat, evicted_sat),
            feerate_sat_kvb=old_fee_sat * 1000 // fee.vsize(weight),
            incremental_sat_kvb=1_000,
        )
        try:
            found = build(old, coins, feerate_sat_kvb, outbid)
        except selection.InsufficientCoins:
            return
        unsigned = tx.build_unsigned(
            [*old.inputs, *(added.outpoint for added in found.added)], [*old.payments, *found.change]
        )
        built = tx.parse(unsigned)
        # The same payments in the same places, every old input in the same place, the anchor first.
        assert built.outputs[: len(outputs)] == tuple(outputs)
        assert built.inputs[:inputs] == old.inputs
        # Nothing is lost: what comes in goes to payments, change and fee.
        coming_sat = old.inputs_sat + sum(added.amount_sat for added in found.added)
        assert coming_sat == sum(output.amount_sat for output in built.outputs) + found.fee_sat
        # BIP125: it pays for what it evicts and for its own relay, at a strictly higher feerate.
        assert found.fee_sat >= outbid.fee_sat + found.vsize_vb
        assert found.fee_sat * 1000 > outbid.feerate_sat_kvb * found.vsize_vb
        assert found.fee_sat >= fee.fee_sat(weight=found.weight, feerate_sat_kvb=feerate_sat_kvb)
        # Change is worth an output, and goes to scripts of ours.
        assert all(output.amount_sat >= selection.CHANGE_MIN_SAT for output in found.change)
        assert {o.script_pubkey for o in found.change} <= {o.script_pubkey for o in old.change} | {SPARE}
        # F29: with an added coin there is change.
        assert not found.added or len(found.change) == 1
        # The weight is that of the signed tx, its inputs at their longest.
        signed = len(unsigned) * 4 + 2 + len(built.inputs) * (fee.P2WPKH_INPUT_WEIGHT - 164)
        assert found.weight == signed
