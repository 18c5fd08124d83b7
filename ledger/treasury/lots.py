"""Pure arithmetic: what the bitcoin that is disposed of had cost, by FIFO and by weighted average (R-33).

Amounts are satoshis and minor units. Each movement is looked at once, so that time grows with their number, and memory with
the lots that are open.

Rounding, half to even, conserves what is divided. By FIFO a lot's cost up to a satoshi is rounded, and a part costs the
difference between its two ends; so are proceeds over the lots that a disposal takes. The weighted average is a moving one: a
disposal costs its share of what the pool had cost, rounded, and that leaves the pool. So the costs of all parts and of what
is left add up to what was paid, and proceeds to what was received.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from govpay.errors import Conflict


class LotsShort(Conflict):
    """More is disposed of than there is at that moment."""

    code = "lots_short"

    @classmethod
    def of(cls, disposal: "Movement", short_sat: int) -> "LotsShort":
        """Say which disposal, and what is missing."""
        return cls(
            f"{disposal.reference} disposes of {disposal.amount_sat} sat; {short_sat} sat of them were not there then.",
            reference=disposal.reference,
            amount_sat=disposal.amount_sat,
            short_sat=short_sat,
        )


class Movement(NamedTuple):
    """Bitcoin that came or went: ``value_minor`` is what was paid for it, with fees, or received, without them.

    ``person`` and ``jurisdiction`` are a disposal's: for whom it was made, if for somebody, and where it is taxed.
    """

    at: datetime
    is_acquisition: bool
    amount_sat: int
    value_minor: int
    reference: str
    person: str = ""
    jurisdiction: str = ""


class Part(NamedTuple):
    """So much of a disposal, what it brought and had cost; ``lot`` is where it came from, None by weighted average."""

    disposal: Movement
    lot: Movement | None
    amount_sat: int
    proceeds_minor: int
    cost_minor: int

    @property
    def gain_minor(self) -> int:
        """What was gained, or lost when it is negative."""
        return self.proceeds_minor - self.cost_minor


@dataclass
class OpenLot:
    """An acquisition of which ``used_sat`` have gone."""

    movement: Movement
    used_sat: int = 0

    @property
    def left_sat(self) -> int:
        """What of it is there."""
        return self.movement.amount_sat - self.used_sat

    @property
    def left_minor(self) -> int:
        """What that had cost."""
        return self.movement.value_minor - value_up_to(self.movement, self.used_sat)


def value_up_to(movement: Movement, amount_sat: int) -> int:
    """Return what so many first satoshis of a movement are worth of its whole value, half to even."""
    return half_even(movement.value_minor * amount_sat, movement.amount_sat)


def half_even(numerator: int, denominator: int) -> int:
    """Divide integers, the denominator above zero, and round half to even."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2))


class Fifo:
    """Lots that go in the order in which they came; ``lots`` are those of which something is left."""

    def __init__(self) -> None:
        self.lots: deque[OpenLot] = deque()

    def move(self, movement: Movement) -> list[Part]:
        """Take the next movement in order of time, and return a disposal's parts; raise LotsShort."""
        if movement.is_acquisition:
            self.lots.append(OpenLot(movement))
            return []
        parts, gone_sat = [], 0
        while gone_sat < movement.amount_sat:
            if not self.lots:
                raise LotsShort.of(movement, movement.amount_sat - gone_sat)
            lot = self.lots[0]
            taken_sat = min(lot.left_sat, movement.amount_sat - gone_sat)
            cost_minor = -value_up_to(lot.movement, lot.used_sat)
            proceeds_minor = -value_up_to(movement, gone_sat)
            lot.used_sat += taken_sat
            gone_sat += taken_sat
            cost_minor += value_up_to(lot.movement, lot.used_sat)
            proceeds_minor += value_up_to(movement, gone_sat)
            parts.append(Part(movement, lot.movement, taken_sat, proceeds_minor, cost_minor))
            if not lot.left_sat:
                self.lots.popleft()
        return parts


class WeightedAverage:
    """A pool that goes at the average cost of what is in it: so many satoshis, and what they had cost."""

    def __init__(self) -> None:
        self.amount_sat = self.cost_minor = 0

    def move(self, movement: Movement) -> list[Part]:
        """Take the next movement in order of time, and return a disposal as its one part; raise LotsShort."""
        if movement.is_acquisition:
            self.amount_sat += movement.amount_sat
            self.cost_minor += movement.value_minor
            return []
        if movement.amount_sat > self.amount_sat:
            raise LotsShort.of(movement, movement.amount_sat - self.amount_sat)
        cost_minor = half_even(self.cost_minor * movement.amount_sat, self.amount_sat)
        self.amount_sat -= movement.amount_sat
        self.cost_minor -= cost_minor
        return [Part(movement, None, movement.amount_sat, movement.value_minor, cost_minor)]
