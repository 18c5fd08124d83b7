"""Finds by halving which lines of a tx are refused; pure, so that the simulation searches as the product does."""

from collections.abc import Callable, Sequence

from payments.onchain import tx

# A payment's id and its output.
Line = tuple[int, tx.Output]


def find_refused(lines: Sequence[Line], is_refused: Callable[[Sequence[Line]], bool]) -> list[Line]:
    """Return the lines that are refused by themselves, by halving: about 2·log2(n) questions for each of them."""
    if not lines or not is_refused(lines):
        return []
    if len(lines) == 1:
        return [lines[0]]
    middle = len(lines) // 2
    return find_refused(lines[:middle], is_refused) + find_refused(lines[middle:], is_refused)
