"""Lots: n acquisitions and as many disposals, and ten times as many; seconds a movement to record and to match."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from ledger import reports
from ledger.treasury import movements
from ledger.treasury.lots import Movement
from tests import factories

START = datetime(2020, 1, 1, tzinfo=UTC)


def measure(n: int) -> dict[str, Any]:
    """Return seconds at n and 10 n acquisitions and disposals, and how many times as much a movement costs at 10 n."""
    keeper = factories.make_user("bench-keeper", movements.RIGHT)
    found: dict[str, Any] = {"acquisitions": [n, 10 * n]}
    seconds: dict[str, list[float]] = {"record": [], "gains": [], "lots": []}
    for count in (n, 10 * n):
        scope, made = f"bench:{count}", history(count)
        record = {"by": keeper, "scope": scope, "currency": "PKR", "scale": 2, "movements": made}
        seconds["record"].append(timed(lambda asked=record: movements.record(**asked)))
        for name in ("gains", "lots"):
            seconds[name].append(timed(lambda name=name, scope=scope: read(name, scope)))
    for name, (small, large) in seconds.items():
        found[name] = {
            "seconds": [round(small, 2), round(large, 2)],
            "a_movement_ratio": round(large / small / 10, 2),
        }
    return found


def history(count: int) -> list[Movement]:
    """Acquisitions and disposals in turns, so that lots are cut and stay open."""
    return [
        Movement(START + timedelta(minutes=number), True, 7 + number % 5, 100 + number % 17, f"m:{number}")
        if number % 2 == 0
        else Movement(START + timedelta(minutes=number), False, 7, 110, f"m:{number}", "", "pakistan")
        for number in range(2 * count)
    ]


def read(name: str, scope: str) -> None:
    """Make a report to its end."""
    report = reports.get_report(name)
    with reports.tabulate(report, reports.ask(report, now=timezone.now(), scope=scope)) as table:
        for _ in table.rows:
            pass


def timed(call: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
