"""Reads streams side by side that are in the same order, so that what belongs together is never in memory as a whole."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Beside(Generic[Row]):
    """Rows in the order of a number that several may have, handed out number by number."""

    def __init__(self, rows: Iterable[Row], number: Callable[[Row], int]) -> None:
        self._groups = groupby(rows, number)
        self._number: int | None = -1
        self._rows: Iterator[Row] = iter(())

    def of(self, number: int) -> Iterator[Row]:
        """Return the rows of a number, which is above those that were asked for before; take them before the next."""
        while self._number is not None and self._number < number:
            self._number, self._rows = next(self._groups, (None, iter(())))
        return self._rows if self._number == number else iter(())
