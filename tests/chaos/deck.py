"""Deals faults from a seed: each comes once, in an order that the seed shuffles, before any comes again."""

import random
from collections.abc import Sequence

from tests.chaos.fault import Fault


class Deck:
    """Every fault once, without replacement; from then on drawn by weight. The seed alone decides."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self.faults = faults
        self.draw = random.Random(seed)
        self.left = list(faults)
        self.draw.shuffle(self.left)

    def deal(self) -> Fault:
        """Return the next fault."""
        if self.left:
            return self.left.pop(0)
        return self.draw.choices(self.faults, [fault.weight for fault in self.faults])[0]

    def put_back(self, fault: Fault, seen: int) -> None:
        """Take back a fault that could not happen now; one that was never ``seen`` comes again soon."""
        if not seen:
            self.left.insert(2, fault)
