"""Pure arithmetic of a replacement (BIP125): the same payments, every old input, a higher fee that the change pays first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from payments.onchain import fee, tx
from payments.payout import selection

# Satoshis for a tx of these weight units.
Price = Callable[[int], int]


@dataclass(frozen=True)
class Old:
    """The version to be replaced: its inputs in order, the anchor first, and what they are worth together."""

    inputs: tuple[tx.OutPoint, ...]
    inputs_sat: int
    payments: tuple[tx.Output, ...]
    change: tuple[tx.Output, ...]


@dataclass(frozen=True)
class Outbid:
    """What a replacement must beat: the fees of all that it evicts, the highest feerate among them, the nodes' floor."""

    fee_sat: int
    feerate_sat_kvb: int
    incremental_sat_kvb: int
    mempool_min_sat_kvb: int = 0

    def least_sat(self, weight: int) -> int:
        """Return the least fee with which nodes take a replacement of this weight."""
        return max(
            self.fee_sat + fee.fee_sat(weight=weight, feerate_sat_kvb=self.incremental_sat_kvb),
            # Higher, not as high; one more for what nodes round off.
            fee.fee_sat(weight=weight, feerate_sat_kvb=self.feerate_sat_kvb + 2),
            fee.fee_sat(weight=weight, feerate_sat_kvb=self.mempool_min_sat_kvb),
        )


@dataclass(frozen=True)
class Replacement:
    """A version to be built: coins added after the old inputs, the change, the fee, the weight once signed.

    ``asked_sat`` is what was asked for at this weight, ``least_sat`` what nodes take; the fee is at least both.
    """

    added: tuple[selection.FreeCoin, ...]
    change: tuple[tx.Output, ...]
    fee_sat: int
    weight: int
    asked_sat: int
    least_sat: int

    @property
    def vsize_vb(self) -> int:
        """Its virtual bytes, signed."""
        return fee.vsize(self.weight)


def build(
    old: Old,
    coins: Sequence[selection.FreeCoin],
    *,
    asked: Price,
    least: Price,
    input_weight: int,
    spare_script: bytes,
) -> Replacement:
    """Return the cheapest replacement in this order of means; raise selection.InsufficientCoins when none carries the fee.

    The largest change output pays. Where it cannot and stay worth an output, smaller ones are given up for it, one after
    the other, and at last all change. Only then are confirmed coins added: one that suffices, or the largest. A
    replacement with an added coin always has change, to the old change's script or else to ``spare_script`` (F29).
    """
    for change in _shapes(old.change):
        found = balance(old, (), change, asked, least, input_weight)
        if found is not None:
            return found
    script = max(old.change, key=_amount).script_pubkey if old.change else spare_script
    by_size = sorted(coins, key=lambda coin: (coin.amount_sat, coin.outpoint))
    largest = by_size[: -selection.MAX_INPUTS - 1 : -1]
    several = [tuple(largest[:count]) for count in range(2, len(largest) + 1)]
    for added in [(coin,) for coin in by_size] + several:
        found = balance(old, added, (tx.Output(0, script),), asked, least, input_weight)
        if found is not None:
            return found
    free_sat = sum(coin.amount_sat for coin in coins)
    raise selection.InsufficientCoins(
        f"The change cannot carry the higher fee, and {free_sat} sat of confirmed coins are free now.",
        free_sat=free_sat,
    )


def _shapes(change: tuple[tx.Output, ...]) -> Iterator[tuple[tx.Output, ...]]:
    """Yield the change as it is, then without its smallest output, and so on to none."""
    kept = list(change)
    while kept:
        yield tuple(kept)
        kept.remove(min(kept, key=_amount))
    yield ()


def balance(
    old: Old,
    added: tuple[selection.FreeCoin, ...],
    change: tuple[tx.Output, ...],
    asked: Price,
    least: Price,
    input_weight: int,
) -> Replacement | None:
    """Return the replacement whose largest change output takes what is left, or None where that is too little.

    Without change, all that is left is fee.
    """
    outputs = [*old.payments, *change]
    if not outputs:
        return None
    weight = fee.tx_weight(
        input_count=len(old.inputs) + len(added),
        output_weights=[fee.output_weight(output.script_pubkey) for output in outputs],
        input_weight=input_weight,
    )
    if weight > fee.MAX_STANDARD_WEIGHT:
        return None
    asked_sat, least_sat = asked(weight), least(weight)
    fee_sat = max(asked_sat, least_sat)
    inputs_sat = old.inputs_sat + sum(coin.amount_sat for coin in added)
    left_sat = inputs_sat - sum(output.amount_sat for output in outputs) - fee_sat
    if not change:
        return (
            Replacement(added, (), fee_sat + left_sat, weight, asked_sat, least_sat)
            if left_sat >= 0
            else None
        )
    pays = change.index(max(change, key=_amount))
    amount_sat = change[pays].amount_sat + left_sat
    if amount_sat < selection.CHANGE_MIN_SAT:
        return None
    paid = tuple(
        output._replace(amount_sat=amount_sat) if place == pays else output
        for place, output in enumerate(change)
    )
    return Replacement(added, paid, fee_sat, weight, asked_sat, least_sat)


def with_script(found: Replacement, spare_script: bytes, script_pubkey: bytes) -> Replacement:
    """Return the replacement with a real script of ours in the place of the spare one."""
    change = tuple(
        output._replace(script_pubkey=script_pubkey) if output.script_pubkey == spare_script else output
        for output in found.change
    )
    return replace(found, change=change)


def _amount(output: tx.Output) -> int:
    return output.amount_sat
