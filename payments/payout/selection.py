"""Pure choice of coins: of several ways to fund an amount, the one that wastes least.

Waste is what Bitcoin Core's wallet means by it (``SelectionResult::RecalculateWaste`` in src/wallet/coinselection.cpp):
what the inputs cost now less what they would cost at a long-term feerate, plus what making and once spending the change
costs or, without change, what is paid beyond the fee.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from govpay.errors import GovPayError
from payments.onchain import fee, tx

# More inputs than this would cost more than a wait for a larger coin; it also bounds the fee ceiling.
MAX_INPUTS = 20
# Steps of the search for a match without change: about two milliseconds.
MAX_TRIES = 2_000
# Change below this costs more to keep than it is worth, whatever the feerate.
CHANGE_MIN_SAT = 1_000
CHANGE_WEIGHT = fee.output_weight(b"\0" * 22)
# Values are compared in 1/4,000 sat: weight units by sat/kvB, without rounding.
SCALE = 1000 * fee.WITNESS_SCALE


class InsufficientCoins(GovPayError):
    """No free confirmed coins carry the group yet; more confirm with the next block or deposit."""

    code = "insufficient_coins"
    http_status = 409
    is_transient = True

    @classmethod
    def of(cls, needed_sat: int, free_sat: int) -> "InsufficientCoins":
        """Say what is needed and what is there."""
        return cls(
            f"{needed_sat} sat and the fee need confirmed coins; {free_sat} sat are free now.",
            needed_sat=needed_sat,
            free_sat=free_sat,
        )


@dataclass(frozen=True)
class FreeCoin:
    """A confirmed coin of ours that nothing reserves; ``weight`` is that of the input which spends it, signed."""

    outpoint: tx.OutPoint
    amount_sat: int
    script_pubkey: bytes
    weight: int = fee.P2WPKH_INPUT_WEIGHT


@dataclass(frozen=True)
class Terms:
    """What inputs and change cost: the feerate now, the one expected in the long run, and the wallet's weights."""

    feerate_sat_kvb: int
    long_term_sat_kvb: int
    input_weight: int = fee.P2WPKH_INPUT_WEIGHT
    change_weight: int = CHANGE_WEIGHT

    @property
    def change_min_sat(self) -> int:
        """The least change that is worth an output: not dust, and worth more than its spending in the long run."""
        spend_sat = fee.fee_sat(weight=self.input_weight, feerate_sat_kvb=self.long_term_sat_kvb)
        return max(CHANGE_MIN_SAT, spend_sat)

    @property
    def change_cost(self) -> int:
        """What an output of change costs now and once it is spent, in 1/4,000 sat."""
        return self.change_weight * self.feerate_sat_kvb + self.input_weight * self.long_term_sat_kvb

    def worth(self, coin: FreeCoin) -> int:
        """Return what a coin brings beyond the cost of its input, in 1/4,000 sat; Core's effective value."""
        return coin.amount_sat * SCALE - coin.weight * self.feerate_sat_kvb


@dataclass(frozen=True)
class Bill:
    """What has to be paid: satoshis, and the outputs that pay them."""

    need_sat: int
    output_count: int
    outputs_weight: int


@dataclass(frozen=True)
class Funding:
    """Coins that carry a bill, what comes back, what the network gets, and the waste in 1/4,000 sat."""

    coins: tuple[FreeCoin, ...]
    change_sat: int
    fee_sat: int
    weight: int
    waste: int


def choose(bill: Bill, coins: Sequence[FreeCoin], terms: Terms) -> Funding:
    """Return the funding that wastes least, of all strategies; of equals the one with fewer inputs, then with less change.

    The same coins give the same answer in whatever order they come. Raises InsufficientCoins.
    """
    found = fundings(bill, coins, terms)
    if not found:
        raise InsufficientCoins.of(bill.need_sat, sum(coin.amount_sat for coin in coins))
    return min(found.values(), key=_rank)


def _rank(found: Funding) -> tuple[int, int, int, tx.OutPoint]:
    return found.waste, len(found.coins), found.change_sat, found.coins[0].outpoint


def fundings(bill: Bill, coins: Sequence[FreeCoin], terms: Terms) -> dict[str, Funding]:
    """Return what each strategy that succeeds gives, by its name."""
    useful = [coin for coin in coins if terms.worth(coin) > 0]
    useful.sort(key=lambda coin: (terms.worth(coin), coin.outpoint))
    largest = useful[::-1]
    target = bill.need_sat * SCALE + _weight(bill, 0, 0, terms) * terms.feerate_sat_kvb
    tried = {
        "match": iter([_match(bill, largest, target, terms)]),
        "single": ((coin,) for coin in useful if terms.worth(coin) >= target),
        "largest": _growing(largest),
        "smallest": _growing(useful),
    }
    settled = {
        name: next((found for chosen in ways if (found := settle(bill, chosen, terms)) is not None), None)
        for name, ways in tried.items()
    }
    return {name: found for name, found in settled.items() if found is not None}


def settle(bill: Bill, coins: tuple[FreeCoin, ...], terms: Terms) -> Funding | None:
    """Return the funding by exactly these coins: with change if it is worth an output, else without, or None."""
    rest_sat = sum(coin.amount_sat for coin in coins) - bill.need_sat
    inputs_weight = sum(coin.weight for coin in coins)
    extra = inputs_weight * (terms.feerate_sat_kvb - terms.long_term_sat_kvb)
    weight = _weight(bill, len(coins), 1, terms) + inputs_weight
    fee_sat = fee.fee_sat(weight=weight, feerate_sat_kvb=terms.feerate_sat_kvb)
    if coins and rest_sat - fee_sat >= terms.change_min_sat:
        return Funding(coins, rest_sat - fee_sat, fee_sat, weight, extra + terms.change_cost)
    weight = _weight(bill, len(coins), 0, terms) + inputs_weight
    fee_sat = fee.fee_sat(weight=weight, feerate_sat_kvb=terms.feerate_sat_kvb)
    if coins and rest_sat >= fee_sat:
        return Funding(coins, 0, rest_sat, weight, extra + (rest_sat - fee_sat) * SCALE)
    return None


def _weight(bill: Bill, input_count: int, change_count: int, terms: Terms) -> int:
    """Return the weight of all but the inputs themselves."""
    overhead = fee.overhead_weight(input_count, bill.output_count + change_count)
    return overhead + bill.outputs_weight + change_count * terms.change_weight


def _growing(coins: Sequence[FreeCoin]) -> Iterator[tuple[FreeCoin, ...]]:
    """Yield the first coin, the first two, and so on up to MAX_INPUTS."""
    for count in range(1, min(len(coins), MAX_INPUTS) + 1):
        yield tuple(coins[:count])


def _match(bill: Bill, largest: Sequence[FreeCoin], least: int, terms: Terms) -> tuple[FreeCoin, ...]:
    """Return coins whose worth meets ``least`` without change, by bounded branch and bound; empty without a match.

    The search of Bitcoin Core's SelectCoinsBnB: take or leave each coin, the largest first, and turn back when the rest
    cannot reach the target or the sum is past what change would cost.
    """
    most = least + terms.change_cost
    pool = [(terms.worth(coin), coin) for coin in largest if terms.worth(coin) <= most]
    left = [0] * (len(pool) + 1)
    for index in range(len(pool) - 1, -1, -1):
        left[index] = left[index + 1] + pool[index][0]
    best: tuple[FreeCoin, ...] = ()
    best_sum = most + 1
    stack: list[tuple[int, int, tuple[FreeCoin, ...]]] = [(0, 0, ())]
    for _ in range(MAX_TRIES):
        if not stack:
            break
        index, total, chosen = stack.pop()
        if least <= total < best_sum:
            # Fees are rounded up, so that the last satoshi is only known when all is added up.
            settled = settle(bill, chosen, terms)
            if settled is not None and not settled.change_sat:
                best, best_sum = chosen, total
        if total >= least or index == len(pool) or len(chosen) == MAX_INPUTS or total + left[index] < least:
            continue
        value, coin = pool[index]
        # Leaving a coin means leaving all that are worth as much: another of them would give the same sum.
        after = index + 1
        while after < len(pool) and pool[after][0] == value:
            after += 1
        stack.append((after, total, chosen))
        if total + value <= most:
            stack.append((index + 1, total + value, (*chosen, coin)))
    return best
