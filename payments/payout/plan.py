"""Pure arithmetic: which payments fit one payout, which coins fund it, what it costs and what comes back."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from payments.onchain import fee, tx
from payments.payout import selection
from payments.payout.selection import CHANGE_WEIGHT, MAX_INPUTS, FreeCoin, Terms

# Coins that later versions may add, so that a group of any size can still be bumped.
BUMP_INPUTS = 2
# More outputs of change than this would burden one payout's fee for the payouts after it.
MAX_CHANGE = 4


class Line(NamedTuple):
    """A payment to be paid: its id, script_pubkey and satoshis."""

    payment_id: int
    script_pubkey: bytes
    amount_sat: int


@dataclass(frozen=True)
class ChangeWish:
    """Up to how many outputs change is split into, and the least that each of several should hold."""

    count: int
    each_sat: int


ONE_OUTPUT = ChangeWish(1, 0)


@dataclass(frozen=True)
class Plan:
    """A payout before it is sealed: lines in output order, coins in input order, then the change if there is any."""

    lines: tuple[Line, ...]
    coins: tuple[FreeCoin, ...]
    change: tuple[int, ...]
    fee_sat: int
    weight: int

    @property
    def anchor(self) -> tx.OutPoint:
        """The outpoint that every tx of this payout spends."""
        return self.coins[0].outpoint

    @functools.cached_property
    def payments_sat(self) -> int:
        """What the people get."""
        return sum(line.amount_sat for line in self.lines)

    @property
    def change_sat(self) -> int:
        """What comes back to us."""
        return sum(self.change)


def group(
    lines: Sequence[Line],
    *,
    max_payments: int,
    max_vsize_vb: int,
    input_weight: int = fee.P2WPKH_INPUT_WEIGHT,
    change_weight: int = CHANGE_WEIGHT,
) -> tuple[Line, ...]:
    """Return the longest prefix that fits: at most ``max_payments`` lines and, with one input and change, the size.

    With all the inputs that it or a bump of it may need, and all the change, it must still be a tx that nodes relay.
    """
    rest_weight = (MAX_INPUTS + BUMP_INPUTS - 1) * input_weight + (MAX_CHANGE - 1) * change_weight
    max_vsize_vb = min(max_vsize_vb, fee.vsize(fee.MAX_STANDARD_WEIGHT - rest_weight))
    # One more output may lengthen the count's own encoding by two bytes; leave room for it.
    weight = fee.overhead_weight(1, 1) + input_weight + change_weight + 8
    for count, line in enumerate(lines[:max_payments]):
        weight += fee.output_weight(line.script_pubkey)
        if count and fee.vsize(weight) > max_vsize_vb:
            return tuple(lines[:count])
    return tuple(lines[:max_payments])


def fund(lines: Sequence[Line], coins: Sequence[FreeCoin], terms: Terms) -> Plan:
    """Choose the coins that waste least; raise selection.InsufficientCoins when none suffice."""
    bill = selection.Bill(
        need_sat=sum(line.amount_sat for line in lines),
        output_count=len(lines),
        outputs_weight=sum(fee.output_weight(line.script_pubkey) for line in lines),
    )
    found = selection.choose(bill, coins, terms)
    change = (found.change_sat,) if found.change_sat else ()
    return Plan(tuple(lines), found.coins, change, found.fee_sat, found.weight)


def fund_part(lines: Sequence[Line], coins: Sequence[FreeCoin], terms: Terms) -> Plan | None:
    """Fund the lines, or the first half of them, or half of that, down to one; None when not even the first fits."""
    while lines:
        try:
            return fund(lines, coins, terms)
        except selection.InsufficientCoins:
            lines = lines[: len(lines) // 2]
    return None


def split(whole: Plan, terms: Terms, wish: ChangeWish) -> Plan:
    """Return the plan with its one change output split into about equal ones, as many as are wished and useful."""
    least_sat = max(wish.each_sat, terms.change_min_sat)
    for count in range(min(wish.count, MAX_CHANGE), 1, -1):
        outputs = len(whole.lines) + count
        overhead = fee.overhead_weight(len(whole.coins), outputs) - fee.overhead_weight(
            len(whole.coins), len(whole.lines) + 1
        )
        weight = whole.weight + (count - 1) * terms.change_weight + overhead
        fee_sat = fee.fee_sat(weight=weight, feerate_sat_kvb=terms.feerate_sat_kvb)
        share_sat, odd_sat = divmod(whole.change_sat + whole.fee_sat - fee_sat, count)
        if share_sat >= least_sat:
            change = (share_sat + odd_sat, *[share_sat] * (count - 1))
            return replace(whole, change=change, fee_sat=fee_sat, weight=weight)
    return whole


def fee_ceiling_sat(
    *,
    payment_count: int,
    output_vb: int,
    group_max_payments: int,
    group_max_vsize_vb: int,
    terms: Terms,
) -> int:
    """Return the most that a list's fees may cost: all outputs and, for each group, the rest of a tx with MAX_INPUTS.

    Groups are counted twice, so that held payments which go on later in groups of their own still fit.
    """
    by_count = -(-payment_count // group_max_payments)
    by_size = -(-output_vb // group_max_vsize_vb)
    groups = 2 * max(by_count, by_size)
    # Three more bytes: a group's output count may need the longer encoding.
    rest_weight = fee.overhead_weight(MAX_INPUTS, 1) + 4 * 3
    rest_weight += MAX_INPUTS * terms.input_weight + MAX_CHANGE * terms.change_weight
    rate_sat = fee.fee_sat(weight=4 * output_vb + groups * rest_weight, feerate_sat_kvb=terms.feerate_sat_kvb)
    return rate_sat + groups * terms.change_min_sat
