"""The steps of a way that leads over several pages: which are done, and which one is at hand."""

from collections.abc import Sequence
from dataclasses import dataclass

DONE, HERE, WRONG, LATER = "done", "here", "wrong", "later"


@dataclass(frozen=True)
class Step:
    """A step, and where it stands: done, here, here and wrong, or later."""

    name: str
    state: str


def at(names: Sequence[str], here: int, *, is_wrong: bool = False) -> list[Step]:
    """Return the steps of which this one is at hand; behind the last all are done."""
    state = WRONG if is_wrong else HERE
    return [
        Step(name, DONE if place < here else state if place == here else LATER)
        for place, name in enumerate(names)
    ]
