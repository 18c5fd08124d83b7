"""Pure arithmetic: how many blocks a payment of so many people takes and what it costs, before anybody is paid (R-23).

Sizes are those of the groups that the engine would seal of such a list (``plan.group``), and of the txs that pay them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from payments.onchain import fee
from payments.onchain.address import Kind
from payments.payout import plan
from payments.payout.selection import CHANGE_WEIGHT

# What is projected, in satoshis per virtual byte.
FEERATES_SAT_VB = (1, 5, 20, 50)
# How far apart blocks are meant to be.
BLOCK_MINUTES = 10
SAT_PER_BTC = 100_000_000
# Scripts as long as those that people are paid to: only their length counts.
SCRIPTS: dict[Kind, bytes] = {
    "p2wpkh": b"\x00\x14" + bytes(20),
    "p2wsh": b"\x00\x20" + bytes(32),
    "p2tr": b"\x51\x20" + bytes(32),
    "p2pkh": b"\x76\xa9\x14" + bytes(20) + b"\x88\xac",
    "p2sh": b"\xa9\x14" + bytes(20) + b"\x87",
}


@dataclass(frozen=True)
class Groups:
    """The bounds of a payout, and the weight units of an input and of an output of change of the wallet that pays."""

    max_payments: int
    max_vsize_vb: int
    input_weight: int = fee.P2WPKH_INPUT_WEIGHT
    change_weight: int = CHANGE_WEIGHT


@dataclass(frozen=True)
class Shape:
    """So many payouts of one kind: how many payments each has, and its weight units once signed."""

    count: int
    payments: int
    weight: int


@dataclass(frozen=True)
class Value:
    """What each person gets, in satoshis, and the price at which that and costs elsewhere are compared.

    ``price_minor`` is what a bitcoin costs, in minor units of the currency. Each is None where nobody said it.
    """

    amount_sat: int | None = None
    currency: str = ""
    price_minor: int | None = None


@dataclass(frozen=True)
class Cost:
    """What it costs at a feerate: the fees of all payouts, and the people and satoshis that they are for."""

    feerate_sat_vb: int
    fee_sat: int
    people: int
    value: Value

    @property
    def per_payment_sat(self) -> Fraction:
        """Satoshis a payment."""
        return Fraction(self.fee_sat, self.people)

    @property
    def per_payment_minor(self) -> Fraction | None:
        """Minor units of the currency a payment, at the price that was given."""
        if self.value.price_minor is None:
            return None
        return self.per_payment_sat * self.value.price_minor / SAT_PER_BTC

    @property
    def share(self) -> Fraction | None:
        """The fees for one of the value paid."""
        return None if not self.value.amount_sat else self.per_payment_sat / self.value.amount_sat


@dataclass(frozen=True)
class Projection:
    """How much of the chain the payments take, one input and one output of change a payout, and what that costs.

    ``blocks`` is the least: that many are filled when ``block_share_percent`` of each is for these payouts.
    """

    shapes: tuple[Shape, ...]
    block_share_percent: int
    value: Value

    @property
    def people(self) -> int:
        """How many are paid."""
        return sum(shape.count * shape.payments for shape in self.shapes)

    @property
    def payouts(self) -> int:
        """How many txs pay them."""
        return sum(shape.count for shape in self.shapes)

    @property
    def vsize_vb(self) -> int:
        """The virtual bytes of all txs."""
        return sum(shape.count * fee.vsize(shape.weight) for shape in self.shapes)

    @property
    def blocks(self) -> int:
        """How many blocks that fills, rounded up."""
        weight = sum(shape.count * shape.weight for shape in self.shapes)
        return -(-weight * 100 // (fee.MAX_BLOCK_WEIGHT * self.block_share_percent))

    @property
    def hours(self) -> Fraction:
        """How long these blocks are meant to take."""
        return Fraction(self.blocks * BLOCK_MINUTES, 60)

    @property
    def costs(self) -> list[Cost]:
        """What it costs at each of FEERATES_SAT_VB."""
        return [
            Cost(
                rate,
                sum(
                    shape.count
                    * fee.fee_sat(weight=shape.weight, feerate_sat_kvb=fee.feerate_from_sat_vb(rate))
                    for shape in self.shapes
                ),
                self.people,
                self.value,
            )
            for rate in FEERATES_SAT_VB
        ]


def project(
    outputs: Mapping[Kind, int], groups: Groups, *, value: Value, block_share_percent: int = 100
) -> Projection:
    """Project a list of one output a person, so many of each kind and in this order; at least one."""
    return Projection(tuple(_shapes(outputs, groups)), block_share_percent, value)


def sat_of(amount_minor: int, price_minor: int) -> int:
    """Convert an amount to satoshis at the price of a bitcoin, both in minor units, half to even (R-11)."""
    return round(Fraction(amount_minor * SAT_PER_BTC, price_minor))


def _shapes(outputs: Mapping[Kind, int], groups: Groups) -> list[Shape]:
    """Seal the list group by group, but count those of one kind that are alike at once."""
    left = [(SCRIPTS[kind], count) for kind, count in outputs.items() if count]
    shapes = []
    while left:
        group = plan.group(
            _head(left, groups.max_payments),
            max_payments=groups.max_payments,
            max_vsize_vb=groups.max_vsize_vb,
            input_weight=groups.input_weight,
            change_weight=groups.change_weight,
        )
        size, alike = len(group), left[0][1]
        # The next group is the same as long as the line that did not fit is the same, too.
        times = max((alike if size == groups.max_payments else alike - 1) // size, 1)
        weights = [*(fee.output_weight(line.script_pubkey) for line in group), groups.change_weight]
        weight = fee.tx_weight(input_count=1, output_weights=weights, input_weight=groups.input_weight)
        shapes.append(Shape(times, size, weight))
        left = _rest(left, times * size)
    return shapes


def _head(left: Sequence[tuple[bytes, int]], most: int) -> list[plan.Line]:
    lines: list[plan.Line] = []
    for script, count in left:
        lines += [plan.Line(0, script, 0)] * min(count, most - len(lines))
    return lines


def _rest(left: Sequence[tuple[bytes, int]], paid: int) -> list[tuple[bytes, int]]:
    rest = []
    for script, count in left:
        taken = min(count, paid)
        paid -= taken
        if count > taken:
            rest.append((script, count - taken))
    return rest
