"""Runs all benchmarks on a stack of its own: `make bench N=10000`, or `python -m tests.bench --only pay --n 1000`."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from deploy.local.stack import ROOT, Stack

REPORT = ROOT / "var" / "bench" / "report.json"
PARTS = (
    "books",
    "seals",
    "intake",
    "money",
    "fees",
    "planning",
    "pay",
    "load",
    "memory",
    "reports",
    "lots",
    "reconciliation",
    "packs",
    "pages",
    "screens",
)


def main() -> int:
    """Measure the parts, print and store the report; numbers that miss are reported as they are.

    Each part has a process and a stack of its own: work that one leaves behind would be done in the next one's time.
    """
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="payments in the largest run")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure only this; may be repeated")
    asked = parser.parse_args()
    parts = asked.only or list(PARTS)
    if len(parts) == 1:
        report = measure_alone(parts[0], asked.n)
    else:
        report = {}
        for part in parts:
            print(f"measuring {part}", file=sys.stderr, flush=True)
            words = [sys.executable, "-m", "tests.bench", "--n", str(asked.n), "--only", part]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            found = json.loads(REPORT.read_text())
            found["seconds_in_all"] += report.get("seconds_in_all", 0)
            report |= found
    report["seconds_in_all"] = round(report["seconds_in_all"], 1)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    print(f"written to {REPORT.relative_to(ROOT)}")
    return 0


def measure_alone(part: str, n: int) -> dict[str, Any]:
    """Return the report of one part, measured on a stack of its own."""
    begin = time.monotonic()
    with Stack(ROOT / "var" / "bench", fresh=True) as stack:
        stack.start_services()
        stack.migrate()
        os.environ |= stack.environment(owner=True)
        report = measure(stack, n, part)
    return report | {"seconds_in_all": time.monotonic() - begin}


def measure(stack: Stack, n: int, part: str) -> dict[str, Any]:
    """Return the report of the chosen part."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "govpay.settings")
    django.setup()
    from deploy.local.regtest import Miner
    from tests.bench import (
        books,
        fees,
        intake,
        load,
        lots,
        memory,
        money,
        packs,
        pages,
        pay,
        planning,
        reconciliation,
        reports,
        screens,
        seals,
    )

    node = Miner(stack.environment()["GOVPAY_NODE_URL"]).node
    report: dict[str, Any] = {
        "n": n,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "node": node.call("getnetworkinfo")["subversion"],
    }
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "books": lambda: books.measure(n),
        "seals": lambda: seals.measure(n),
        "intake": lambda: intake.measure(10 * n),
        "money": lambda: money.measure(10 * n),
        "fees": lambda: fees.measure(stack),
        "planning": lambda: planning.measure(stack, n),
        "pay": lambda: pay.measure(stack, n),
        "load": lambda: load.measure(stack, n),
        "memory": lambda: memory.measure(stack, n),
        "reports": lambda: reports.measure(stack, 10 * n),
        "lots": lambda: lots.measure(n),
        "reconciliation": lambda: reconciliation.measure(10 * n),
        "packs": lambda: packs.measure(stack, n),
        "pages": lambda: pages.measure(100 * n),
        "screens": lambda: screens.measure(100 * n),
    }
    report[part] = measures[part]()
    return report


if __name__ == "__main__":
    sys.exit(main())
