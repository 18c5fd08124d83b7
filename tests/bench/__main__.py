"""Runs all benchmarks on a stack of its own: `make bench N=10000`, or `python -m tests.bench --only pay --n 1000`."""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from deploy.local.stack import ROOT, Stack

REPORT = ROOT / "var" / "bench" / "report.json"
PARTS = ("books", "intake", "fees", "planning", "pay", "memory")


def main() -> int:
    """Start services and workers, measure, print and store the report; numbers that miss are reported as they are."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="payments in the largest run")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure only this; may be repeated")
    asked = parser.parse_args()
    begin = time.monotonic()
    with Stack(ROOT / "var" / "bench", fresh=True) as stack:
        stack.start_services()
        stack.migrate()
        os.environ |= stack.environment(owner=True)
        report = measure(stack, asked.n, asked.only or list(PARTS))
    report["seconds_in_all"] = round(time.monotonic() - begin, 1)
    Path(REPORT).write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    print(f"written to {REPORT.relative_to(ROOT)}")
    return 0


def measure(stack: Stack, n: int, parts: list[str]) -> dict[str, Any]:
    """Return the report of the chosen parts."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "govpay.settings")
    django.setup()
    from deploy.local.regtest import Miner
    from tests.bench import books, fees, intake, memory, pay, planning

    node = Miner(stack.environment()["GOVPAY_NODE_URL"]).node
    report: dict[str, Any] = {
        "n": n,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "node": node.call("getnetworkinfo")["subversion"],
    }
    if "books" in parts:
        report["books"] = books.measure(n)
    if "intake" in parts:
        report["intake"] = intake.measure(10 * n)
    if "fees" in parts:
        report["fees"] = fees.measure(stack)
    if "planning" in parts:
        report["planning"] = planning.measure(stack, n)
    if "pay" in parts:
        report["pay"] = pay.measure(stack, n)
    if "memory" in parts:
        report["memory"] = memory.measure(stack, n)
    return report


if __name__ == "__main__":
    sys.exit(main())
