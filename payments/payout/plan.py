"""Pure arithmetic: which payments fit one payout, which coins fund it, what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass

from govpay.errors import GovPayError
from payments.onchain import fee, tx

# More inputs than this would cost more than a wait for a larger coin; it also bounds the fee ceiling.
MAX_INPUTS = 20
# A change output smaller than this costs more to spend later than it is worth.
CHANGE_MIN_SAT = 1_000
CHANGE_WEIGHT = fee.output_weight(b"\0" * 22)


class InsufficientCoins(GovPayError):
    """No free confirmed coins carry the group yet; more confirm with the next block or deposit."""

    code = "insufficient_coins"
    http_status = 409
    is_transient = True


@dataclass(frozen=True)
class Line:
    """A payment to be paid: its id, script_pubkey and satoshis."""

    payment_id: int
    script_pubkey: bytes
    amount_sat: int


@dataclass(frozen=True)
class FreeCoin:
    """A confirmed coin of ours that nothing reserves."""

    outpoint: tx.OutPoint
    amount_sat: int
    script_pubkey: bytes


@dataclass(frozen=True)
class Plan:
    """A payout before it is sealed: lines in output order, coins in input order, then the change if there is any."""

    lines: tuple[Line, ...]
    coins: tuple[FreeCoin, ...]
    change_sat: int
    fee_sat: int
    weight: int

    @property
    def anchor(self) -> tx.OutPoint:
        """The outpoint that every tx of this payout spends."""
        return self.coins[0].outpoint

    @property
    def payments_sat(self) -> int:
        """What the people get."""
        return sum(line.amount_sat for line in self.lines)


def group(lines: Sequence[Line], *, max_payments: int, max_vsize_vb: int) -> tuple[Line, ...]:
    """Return the longest prefix that fits: at most ``max_payments`` lines and, with one input and change, the size.

    With all the inputs that it may need, the tx must still be one that the network relays.
    """
    most_vb = fee.vsize(fee.MAX_STANDARD_WEIGHT - (MAX_INPUTS - 1) * fee.P2WPKH_INPUT_WEIGHT)
    max_vsize_vb = min(max_vsize_vb, most_vb)
    taken: list[Line] = []
    weight = _weight(1, 1, CHANGE_WEIGHT)
    for line in lines[:max_payments]:
        weight += fee.output_weight(line.script_pubkey)
        # One more output may lengthen the count's own encoding by two bytes; leave room for it.
        if taken and fee.vsize(weight + 8) > max_vsize_vb:
            break
        taken.append(line)
    return tuple(taken)


def fund(lines: tuple[Line, ...], coins: Sequence[FreeCoin], *, feerate_sat_kvb: int) -> Plan:
    """Choose coins and return the plan; raise InsufficientCoins when they do not carry lines and fee.

    The smallest single coin that suffices, so that large ones stay whole; else the largest first, at most MAX_INPUTS.
    Change goes to a P2WPKH script of ours.
    """
    need_sat = sum(line.amount_sat for line in lines)
    outputs_weight = sum(fee.output_weight(line.script_pubkey) for line in lines)
    by_size = sorted(coins, key=lambda coin: (coin.amount_sat, coin.outpoint))
    largest = by_size[: -MAX_INPUTS - 1 : -1]
    several = [tuple(largest[:count]) for count in range(2, len(largest) + 1)]
    for chosen in [(coin,) for coin in by_size] + several:
        plan = _balance(lines, chosen, need_sat, outputs_weight, feerate_sat_kvb)
        if plan is not None:
            return plan
    free_sat = sum(coin.amount_sat for coin in coins)
    raise InsufficientCoins(
        f"{need_sat} sat and the fee need confirmed coins; {free_sat} sat are free now.",
        needed_sat=need_sat,
        free_sat=free_sat,
    )


def _balance(
    lines: tuple[Line, ...],
    coins: tuple[FreeCoin, ...],
    need_sat: int,
    outputs_weight: int,
    feerate_sat_kvb: int,
) -> Plan | None:
    """Return the plan with change, or without when the rest is not worth an output, or None."""
    rest_sat = sum(coin.amount_sat for coin in coins) - need_sat
    weight = _weight(len(coins), len(lines) + 1, outputs_weight + CHANGE_WEIGHT)
    fee_sat = fee.fee_sat(weight=weight, feerate_sat_kvb=feerate_sat_kvb)
    if rest_sat - fee_sat >= CHANGE_MIN_SAT:
        return Plan(lines, coins, rest_sat - fee_sat, fee_sat, weight)
    weight = _weight(len(coins), len(lines), outputs_weight)
    if rest_sat >= fee.fee_sat(weight=weight, feerate_sat_kvb=feerate_sat_kvb):
        return Plan(lines, coins, 0, rest_sat, weight)
    return None


def _weight(input_count: int, output_count: int, outputs_weight: int) -> int:
    overhead = fee.overhead_weight(input_count, output_count)
    return overhead + input_count * fee.P2WPKH_INPUT_WEIGHT + outputs_weight


def fee_ceiling_sat(
    *,
    payment_count: int,
    output_vb: int,
    group_max_payments: int,
    group_max_vsize_vb: int,
    feerate_sat_kvb: int,
) -> int:
    """Return the most that a list's fees may cost: all outputs and, for each group, the rest of a tx with MAX_INPUTS.

    Groups are counted twice, so that held payments which go on later in groups of their own still fit.
    """
    by_count = -(-payment_count // group_max_payments)
    by_size = -(-output_vb // group_max_vsize_vb)
    groups = 2 * max(by_count, by_size)
    # Three more bytes: a group's output count may need the longer encoding.
    rest_weight = _weight(MAX_INPUTS, 1, CHANGE_WEIGHT) + 4 * 3
    rate_sat = fee.fee_sat(weight=4 * output_vb + groups * rest_weight, feerate_sat_kvb=feerate_sat_kvb)
    return rate_sat + groups * CHANGE_MIN_SAT
