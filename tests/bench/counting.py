"""A process that only counts: what any second process costs whoever is measured beside it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

COUNTING = """
import os, sys, time
nice, share, tick_s = int(sys.argv[1]), float(sys.argv[2]), 0.02
os.nice(nice)
while True:
    begin, until = time.monotonic(), time.process_time() + share * tick_s
    while time.process_time() < until:
        pass
    time.sleep(max(0, begin + tick_s - time.monotonic()))
"""


@contextmanager
def counting(share: float = 1, nice: int = 5) -> Iterator[None]:
    """Keep a share of a core busy with nothing, fifty times a second, while the block runs."""
    with subprocess.Popen([sys.executable, "-c", COUNTING, str(nice), str(min(share, 1))]) as process:
        time.sleep(0.1)
        yield
        process.kill()


class Busy:
    """Measures how many cores the whole machine keeps busy while the block runs; then ``cores`` says it."""

    cores = 0.0

    def __enter__(self) -> "Busy":
        self._begin, self._ticks = time.monotonic(), _busy_ticks()
        return self

    def __exit__(self, *exception: object) -> None:
        seconds = (_busy_ticks() - self._ticks) / os.sysconf("SC_CLK_TCK")
        self.cores = seconds / (time.monotonic() - self._begin)


def _busy_ticks() -> int:
    """Return what ``/proc/stat`` counts of all cores, without the time in which they idled or waited for disks (proc(5))."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, *_ = map(int, file.readline().split()[1:])
    return user + nice + system + irq + softirq
