"""Says how far a run is: to whoever began it, and in a row that everybody may read until the run is stored."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from django.db.models.functions import Now

from ledger.models import RunUnderWay
from ledger.reconciliation.evidence import ChainBlock

# Hears of a step: its words, and how much of it is done out of how much; zeros where nobody counts.
Hear = Callable[[str, int, int], None]
EVERY_S = 1.0
# A run that has not been heard of for so long is dead; the last step may be silent for nearly as long.
DEAD = timedelta(hours=24)


def say_nothing(step: str, done: int, total: int) -> None:
    """Hear, and keep it to oneself."""


class Progress:
    """How far one run is; a row tells it, a second later at most."""

    def __init__(self, scope: str, started_at: datetime, *, is_full: bool, hear: Hear) -> None:
        self.scope, self.hear = scope, hear
        self.step, self.said_s = "", 0.0
        RunUnderWay.objects.filter(scope=scope, seen_at__lt=Now() - DEAD).delete()
        self.row = RunUnderWay.objects.create(scope=scope, started_at=started_at, is_full=is_full)

    def say(self, step: str, done: int = 0, total: int = 0) -> None:
        """Tell of a step, unless of the same step something was told just now."""
        now_s = time.monotonic()
        if step == self.step and now_s - self.said_s < EVERY_S:
            return
        self.step, self.said_s = step, now_s
        self.hear(f"{self.scope}: {step}", done, total)
        of_this = RunUnderWay.objects.filter(pk=self.row.pk)
        of_this.update(step=step[:100], done=done, total=total, seen_at=Now())

    def count(self, step: str, blocks: Iterator[ChainBlock], last: int) -> Iterator[ChainBlock]:
        """Yield the blocks, and tell how many are read of those up to and with the last height."""
        total = 0
        for done, block in enumerate(blocks, 1):
            total = total or last - block.height + 1
            yield block
            self.say(step, done, total)

    def end(self) -> None:
        """Take the row away: the run is stored, and says everything."""
        self.row.delete()
