"""Deals faults from a seed: each comes once, in an order that the seed shuffles, before any comes again."""

import random
from collections.abc import Sequence

from tests.chaos.fault import Fault


class Deck:
    """Every fault once, without replacement; from then on drawn by weight. The seed alone decides.

    What could not happen at its turn comes again among those that are drawn by weight, every second time.
    """

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self.faults = faults
        self.draw = random.Random(seed)
        self.left = list(faults)
        self.draw.shuffle(self.left)
        self.missed: list[Fault] = []

    def deal(self) -> Fault:
        """Return the next fault."""
        if self.left:
            return self.left.pop()
        if self.missed and self.draw.random() < 0.5:
            return self.missed.pop(0)
        return self.draw.choices(self.faults, [fault.weight for fault in self.faults])[0]

    def put_back(self, fault: Fault, *, times: int) -> None:
        """Take back a fault that could not happen now, and has so many times before: one that never did comes again."""
        if not times and fault not in self.missed:
            self.missed.append(fault)
