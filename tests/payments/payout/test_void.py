"""The arithmetic of voids: what they spend, what they outbid, where their cap lies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.onchain import fee, tx
from payments.payout import rbf, versions, void

CHANGE_WEIGHT = fee.output_weight(bytes(22))
# One P2WPKH input and one P2WPKH output, signed.
WEIGHT_OF_ONE = fee.overhead_weight(1, 1) + fee.P2WPKH_INPUT_WEIGHT + CHANGE_WEIGHT
WEIGHT_OF_TWO = WEIGHT_OF_ONE + fee.P2WPKH_INPUT_WEIGHT


def coins(*amounts_sat: int) -> list[versions.Input]:
    """Coins of these amounts, the anchor first."""
    return [
        versions.Input(tx.OutPoint(f"{n:064x}", 0), tx.Output(amount_sat, b"\0\x14" + bytes(20)))
        for n, amount_sat in enumerate(amounts_sat)
    ]


def beat(fee_sat: int = 0, feerate_sat_kvb: int = 0) -> rbf.Outbid:
    """What must be beaten, with the usual increment."""
    return rbf.Outbid(fee_sat, feerate_sat_kvb, incremental_sat_kvb=1_000)


FREE = beat()


def plan(
    *amounts_sat: int,
    outbid: rbf.Outbid = FREE,
    feerate_sat_kvb: int = 1_000,
    cap_sat: int = 10**9,
) -> void.Plan:
    """Plan with the weights of P2WPKH ."""
    return void.plan(
        coins(*amounts_sat),
        outbid=outbid,
        feerate_sat_kvb=feerate_sat_kvb,
        cap_sat=cap_sat,
        input_weight=fee.P2WPKH_INPUT_WEIGHT,
        change_weight=CHANGE_WEIGHT,
    )


class TestPlan:
    def test_spends_the_anchor_alone_where_it_suffices(self) -> None:
        planned = plan(50_000, 900_000, feerate_sat_kvb=2_000)
        assert [spent.outpoint.txid for spent in planned.inputs] == [f"{0:064x}"]
        assert (planned.vsize_vb, planned.fee_sat, planned.back_sat) == (110, 220, 49_780)

    def test_pays_all_that_it_replaces_and_its_own_relay_on_top(self) -> None:
        planned = plan(50_000, outbid=beat(fee_sat=31_000, feerate_sat_kvb=2_000))
        assert planned.fee_sat == 31_000 + 110

    def test_has_a_higher_feerate_than_what_it_replaces(self) -> None:
        planned = plan(50_000, outbid=beat(fee_sat=100, feerate_sat_kvb=90_000))
        assert planned.fee_sat == 9_901
        assert planned.fee_sat * 1000 // planned.vsize_vb > 90_000

    def test_spends_further_coins_only_when_the_fee_needs_them(self) -> None:
        planned = plan(31_500, 40_000, 700_000, outbid=beat(fee_sat=31_000))
        assert len(planned.inputs) == 2
        assert planned.vsize_vb == fee.vsize(WEIGHT_OF_TWO)
        assert planned.fee_sat == 31_000 + fee.vsize(WEIGHT_OF_TWO)
        assert planned.back_sat == 71_500 - planned.fee_sat

    def test_leaves_no_output_that_is_not_worth_its_spending(self) -> None:
        assert len(plan(1_110, 5_000).inputs) == 1
        assert len(plan(1_109, 5_000).inputs) == 2

    def test_is_refused_above_its_cap(self) -> None:
        assert plan(50_000, outbid=beat(fee_sat=900), cap_sat=1_010).fee_sat == 1_010
        with pytest.raises(void.VoidTooDear) as refused:
            plan(50_000, outbid=beat(fee_sat=901), cap_sat=1_010)
        assert refused.value.details == {"fee_sat": 1_011, "cap_sat": 1_010, "coins_sat": 50_000}

    def test_is_refused_where_the_coins_do_not_carry_it(self) -> None:
        with pytest.raises(void.VoidTooDear) as refused:
            plan(600, 600, outbid=beat(fee_sat=1_000))
        assert refused.value.details["coins_sat"] == 1_200

    @given(
        amounts_sat=st.lists(st.integers(294, 10**8), min_size=1, max_size=20),
        replaced_sat=st.integers(0, 10**6),
        replaced_sat_kvb=st.integers(0, 10**6),
        feerate_sat_kvb=st.integers(100, 10**6),
        cap_sat=st.integers(0, 10**7),
    )
    def test_obeys_every_rule_or_is_refused(
        self,
        amounts_sat: list[int],
        replaced_sat: int,
        replaced_sat_kvb: int,
        feerate_sat_kvb: int,
        cap_sat: int,
    ) -> None:
        outbid = beat(replaced_sat, replaced_sat_kvb)
        try:
            planned = plan(*amounts_sat, outbid=outbid, feerate_sat_kvb=feerate_sat_kvb, cap_sat=cap_sat)
        except void.VoidTooDear as error:
            refused_sat = error.details["fee_sat"]
            assert refused_sat > min(cap_sat, sum(amounts_sat) - 1_000)
            return
        spent_sat = sum(amounts_sat[: len(planned.inputs)])
        rate = planned.fee_sat * 1000 // planned.vsize_vb
        assert planned.inputs[0].outpoint.txid == f"{0:064x}"
        assert spent_sat == planned.fee_sat + planned.back_sat
        assert planned.back_sat >= 1_000
        assert planned.fee_sat <= cap_sat
        assert planned.fee_sat >= replaced_sat + planned.vsize_vb
        assert rate > replaced_sat_kvb
        assert rate >= feerate_sat_kvb
        # The coin before the last did not suffice.
        if len(planned.inputs) > 1:
            assert spent_sat - amounts_sat[len(planned.inputs) - 1] - planned.fee_sat < 1_000
