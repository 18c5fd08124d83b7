"""A fault: what it stands for, how it begins, and how it ends."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.stage import Stage

End = Callable[[], None]


@dataclass(frozen=True)
class Fault:
    """A fault by name: ids of the fault list, its weight in the draw, and how long it lasts at least and at most.

    ``begin`` returns how it ends, or None when it could not happen now.
    """

    name: str
    ids: str
    begin: Callable[[Stage, random.Random], End | None]
    weight: int = 2
    least_s: float = 0.5
    most_s: float = 3.0


def nothing() -> None:
    """End a fault that is over already."""
