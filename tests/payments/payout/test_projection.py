"""Projections, compared with the published figures and with lists that are grouped line by line."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.onchain import address, fee
from payments.payout import plan, projection
from payments.payout.projection import SCRIPTS, Groups, Shape, Value

NOTHING = Value()
# The worked example: Rs 14,500 at Rs 28,100,000 a bitcoin.
TRANSFER = Value(projection.sat_of(1_450_000, 2_810_000_000), "PKR", 2_810_000_000)


def grouped(outputs: dict[address.Kind, int], groups: Groups) -> Counter[tuple[int, int]]:
    """Group a list as the engine does, one line at a time: payments and weight of each payout."""
    lines = [plan.Line(0, SCRIPTS[kind], 0) for kind, count in outputs.items() for _ in range(count)]
    found: Counter[tuple[int, int]] = Counter()
    while lines:
        taken = plan.group(
            lines[: groups.max_payments],
            max_payments=groups.max_payments,
            max_vsize_vb=groups.max_vsize_vb,
            input_weight=groups.input_weight,
            change_weight=groups.change_weight,
        )
        outputs_weight = sum(fee.output_weight(line.script_pubkey) for line in taken)
        weight = fee.overhead_weight(1, len(taken) + 1) + groups.input_weight + groups.change_weight
        found[len(taken), weight + outputs_weight] += 1
        lines = lines[len(taken) :]
    return found


class TestSizes:
    def test_has_scripts_of_every_kind_that_is_paid(self) -> None:
        assert {kind: address.kind(script) for kind, script in SCRIPTS.items()} == {
            kind: kind for kind in ("p2wpkh", "p2wsh", "p2tr", "p2pkh", "p2sh")
        }

    def test_of_a_national_cycle_are_two_days_of_all_blocks(self) -> None:
        # 10.2 million people are 318 MvB, 2.2 days of all blocks.
        found = projection.project({"p2wpkh": 10_200_000}, Groups(500, 25_000), value=NOTHING)
        assert found.shapes == (Shape(20_400, 500, 62_446),)
        assert (found.people, found.payouts, found.vsize_vb) == (10_200_000, 20_400, 318_484_800)
        assert (found.blocks, found.hours) == (319, Fraction(319, 6))
        assert round(found.hours / 24, 1) == Fraction(22, 10)

    def test_of_a_quarter_of_each_block_are_four_times_as_many(self) -> None:
        found = projection.project(
            {"p2wpkh": 10_200_000}, Groups(500, 25_000), value=NOTHING, block_share_percent=25
        )
        assert (found.blocks, found.hours) == (1_274, Fraction(1_274, 6))

    def test_of_a_single_payment_are_those_of_a_single_payment(self) -> None:
        # 141 vB alone, at most 31.3 in a payout of 500.
        found = projection.project({"p2wpkh": 7}, Groups(1, 25_000), value=NOTHING)
        assert (found.payouts, found.vsize_vb) == (7, 7 * 141)

    @given(
        st.dictionaries(st.sampled_from(sorted(SCRIPTS)), st.integers(0, 900), min_size=1).filter(
            lambda outputs: sum(outputs.values()) > 0
        ),
        st.integers(1, 400),
        st.integers(500, 12_000),
        st.sampled_from([(272, 124), (418, 172)]),
    )
    def test_are_those_of_the_list_grouped_line_by_line(
        self,
        outputs: dict[address.Kind, int],
        max_payments: int,
        max_vsize_vb: int,
        weights: tuple[int, int],
    ) -> None:
        groups = Groups(max_payments, max_vsize_vb, *weights)
        found = projection.project(outputs, groups, value=NOTHING)
        counted: Counter[tuple[int, int]] = Counter()
        for shape in found.shapes:
            counted[shape.payments, shape.weight] += shape.count
        assert counted == grouped(outputs, groups)


class TestCosts:
    def test_are_the_fees_of_all_payouts_at_each_feerate(self) -> None:
        found = projection.project({"p2wpkh": 10_200_000}, Groups(500, 25_000), value=NOTHING)
        assert [(cost.feerate_sat_vb, cost.fee_sat) for cost in found.costs] == [
            (1, 318_484_800),
            (5, 5 * 318_484_800),
            (20, 20 * 318_484_800),
            (50, 50 * 318_484_800),
        ]
        assert {(cost.share, cost.per_payment_minor) for cost in found.costs} == {(None, None)}

    def test_are_the_published_ones_batched_and_alone(self) -> None:
        # Requirements, "Benchmarks": 0.30 % of Rs 14,500 at 1,000 a tx and 5 sat/vB, 1.83 % for single 2-of-3 payments.
        assert TRANSFER.amount_sat == 51_601
        batched = projection.project({"p2wpkh": 1_000_000}, Groups(1_000, 99_000), value=TRANSFER).costs[1]
        assert batched.per_payment_sat == Fraction(155_560, 1_000)
        assert batched.share is not None
        assert round(batched.share * 10_000) == 30
        # A bitcoin at USD 100,000: USD 0.156 a payment.
        dollars = Value(51_601, "USD", 10_000_000)
        cost = projection.project({"p2wpkh": 1_000_000}, Groups(1_000, 99_000), value=dollars).costs[1]
        assert cost.per_payment_minor == Fraction(155_560, 10_000)
        multisig = Groups(1, 25_000, fee.P2WSH_2_OF_3_INPUT_WEIGHT, fee.output_weight(SCRIPTS["p2wsh"]))
        alone = projection.project({"p2wpkh": 1_000_000}, multisig, value=TRANSFER).costs[1]
        assert alone.share is not None
        assert round(alone.share * 10_000) == 183

    @pytest.mark.parametrize(
        ("minor", "price", "sat"),
        [(1_450_000, 2_810_000_000, 51_601), (1, 200_000_000, 0), (3, 200_000_000, 2), (1, 66_666_666, 2)],
    )
    def test_are_compared_in_satoshis_half_to_even(self, minor: int, price: int, sat: int) -> None:
        assert projection.sat_of(minor, price) == sat
