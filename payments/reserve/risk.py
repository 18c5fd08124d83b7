"""Pure arithmetic: what may be lost within a day, by what was lost on others (historical value at risk, R-29).

Each day's price is the last that was kept of it; what was lost from one day to the next is a share of the first. A day
without a price, and the day after it, tell nothing. The quantile is the smallest loss that at least so many of all days
did not exceed (nearest rank), so that it is always one that happened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

WHOLE_BPS = 10_000
# However low the quantile: fewer days say nothing about the next one.
LEAST_DAYS = 20


class TooFewDays(Exception):
    """There are not so many pairs of days that the quantile would be among them; ``needed`` and ``days`` say how many."""

    def __init__(self, days: int, needed: int) -> None:
        super().__init__(f"{needed} pairs of days are needed, and prices of {days} were kept.")
        self.days, self.needed = days, needed


@dataclass(frozen=True)
class Loss:
    """A share of the value that is lost (below zero: gained) at the quantile, and the pairs of days behind it."""

    share: Fraction
    days: int

    @property
    def bps(self) -> int:
        """In 1/10,000, rounded up, so that a limit is never passed by rounding; a gain is no loss."""
        return max(0, -(-self.share.numerator * WHOLE_BPS // self.share.denominator))


def least_days(quantile_bps: int) -> int:
    """Return how many pairs of days a quantile needs: of fewer, none is beyond it."""
    return max(LEAST_DAYS, -(-WHOLE_BPS // (WHOLE_BPS - quantile_bps)))


def historical(prices: Mapping[date, Fraction], *, quantile_bps: int) -> Loss:
    """Return what was lost at a quantile of the days whose day before has a price too. Raises TooFewDays."""
    losses = sorted(
        1 - prices[day] / before
        for day in prices
        if (before := prices.get(day - timedelta(days=1))) is not None
    )
    needed = least_days(quantile_bps)
    if len(losses) < needed:
        raise TooFewDays(len(losses), needed)
    rank = -(-quantile_bps * len(losses) // WHOLE_BPS)
    return Loss(losses[rank - 1], len(losses))
