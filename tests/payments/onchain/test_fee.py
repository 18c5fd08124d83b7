"""Fees: the arithmetic agrees with serialized txs and with the figures measured on a node (facts.md)."""

from decimal import Decimal

import pytest
from bitcoin.core import CMutableTransaction, COutPoint, CTransaction, CTxIn, CTxInWitness, CTxOut, CTxWitness
from bitcoin.core.script import CScript, CScriptWitness
from hypothesis import given
from hypothesis import strategies as st

from payments.onchain import fee

P2WPKH = b"\x00\x14" + bytes(20)
P2WSH = b"\x00\x20" + bytes(32)
P2TR = b"\x51\x20" + bytes(32)
P2SH = b"\xa9\x14" + bytes(20) + b"\x87"
P2PKH = b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"


def serialized_weight(input_count: int, scripts: list[bytes]) -> int:
    """Weigh a real tx with the largest signatures, as the library serializes it."""
    witness = CScriptWitness([bytes([1]) * 72, bytes([2]) * 33])
    signed = CMutableTransaction(
        [CTxIn(COutPoint(bytes([7]) * 32, i)) for i in range(input_count)],
        [CTxOut(1, CScript(script)) for script in scripts],
        0,
        2,
        CTxWitness([CTxInWitness(witness)] * input_count),
    )
    return int(CTransaction.from_tx(signed).calc_weight())


class TestDustSat:
    @pytest.mark.parametrize(
        ("script", "dust"),
        [(P2WPKH, 294), (P2TR, 330), (P2WSH, 330), (P2SH, 540), (P2PKH, 546), (b"\x6a\x04beef", 0)],
    )
    def test_is_the_limit_that_nodes_relay(self, script: bytes, dust: int) -> None:
        assert fee.dust_sat(script) == dust


class TestOutputWeight:
    @pytest.mark.parametrize(
        ("script", "vbytes"), [(P2WPKH, 31), (P2TR, 43), (P2WSH, 43), (P2PKH, 34), (P2SH, 32)]
    )
    def test_is_four_times_the_bytes(self, script: bytes, vbytes: int) -> None:
        assert fee.output_weight(script) == vbytes * 4

    def test_counts_the_longer_length_of_a_long_script(self) -> None:
        assert fee.output_weight(bytes(253)) == (8 + 3 + 253) * 4


class TestInputWeights:
    def test_are_those_of_facts(self) -> None:
        assert fee.P2WPKH_INPUT_WEIGHT == 68 * 4
        assert fee.P2TR_KEY_INPUT_WEIGHT == 230
        assert fee.P2WSH_2_OF_3_INPUT_WEIGHT == 418


class TestTxWeight:
    @pytest.mark.parametrize("input_count", [1, 2, 252, 253])
    @pytest.mark.parametrize("output_count", [1, 252, 253, 1000])
    def test_equals_the_serialized_tx(self, input_count: int, output_count: int) -> None:
        scripts = [(P2WPKH, P2TR, P2PKH)[i % 3] for i in range(output_count)]
        weight = fee.tx_weight(input_count=input_count, output_weights=map(fee.output_weight, scripts))
        assert weight == serialized_weight(input_count, scripts)

    def test_fits_3222_payments_into_a_standard_tx_and_not_one_more(self) -> None:
        change = 1
        weights = [
            fee.tx_weight(input_count=1, output_weights=[fee.output_weight(P2WPKH)] * (count + change))
            for count in (3222, 3223)
        ]
        assert weights[0] <= fee.MAX_STANDARD_WEIGHT < weights[1]

    def test_costs_at_most_31_3_vbytes_a_payment_at_500(self) -> None:
        weight = fee.tx_weight(input_count=1, output_weights=[fee.output_weight(P2WPKH)] * 501)
        assert fee.vsize(weight) == 15_612
        assert fee.vsize(weight) * 10 <= 500 * 313


class TestFeeSat:
    @pytest.mark.parametrize(
        ("weight", "feerate", "expected"),
        [(400, 1000, 100), (401, 1000, 101), (404, 1001, 102), (0, 1000, 0), (400, 0, 0), (4, 1, 1)],
    )
    def test_rounds_up(self, weight: int, feerate: int, expected: int) -> None:
        assert fee.fee_sat(weight=weight, feerate_sat_kvb=feerate) == expected

    @given(st.integers(1, 400_000), st.integers(1, 10_000_000))
    def test_is_never_under_the_feerate_nor_a_satoshi_over(self, weight: int, feerate: int) -> None:
        found = fee.fee_sat(weight=weight, feerate_sat_kvb=feerate)
        owed = fee.vsize(weight) * feerate
        assert owed <= found * 1000 < owed + 1000


class TestFeerates:
    def test_convert_exactly(self) -> None:
        assert fee.feerate_from_btc_kvb(Decimal("0.00001000")) == 1000
        assert fee.btc_kvb(1001) == Decimal("0.00001001")
        assert fee.feerate_from_sat_vb(Decimal("1.5")) == 1500
        assert fee.sat_vb(1001) == Decimal("1.001")

    def test_refuse_a_fraction_that_would_be_lost(self) -> None:
        with pytest.raises(ValueError, match="three fraction digits"):
            fee.feerate_from_sat_vb(Decimal("1.0001"))


class TestBounded:
    @pytest.mark.parametrize(
        ("estimate", "expected"),
        [(None, 5000), (0, 5000), (-1, 5000), (999, 1000), (1000, 1000), (2000, 2000), (10**12, 20_000)],
    )
    def test_keeps_the_feerate_between_floor_and_ceiling(self, estimate: int | None, expected: int) -> None:
        assert fee.bounded(estimate, floor=1000, ceiling=20_000, fallback=5000) == expected

    def test_bounds_the_fallback_too(self) -> None:
        assert fee.bounded(None, floor=1000, ceiling=2000, fallback=5000) == 2000

    def test_refuses_a_floor_above_the_ceiling(self) -> None:
        with pytest.raises(fee.FeerateOutOfBounds) as refusal:
            fee.bounded(1000, floor=3000, ceiling=2000, fallback=1000)
        assert refusal.value.details == {"floor_sat_kvb": 3000, "ceiling_sat_kvb": 2000}
