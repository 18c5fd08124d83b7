"""Sealing beside posting, building the tree against hashlib, and going through books of a million lines.

`make bench` reads small books; `python -m tests.bench.seals --lines 1000000` reads big ones on a stack of its own.
"""

import argparse
import hashlib
import json
import os
import secrets
import select
import subprocess
import sys
import time
from contextlib import nullcontext
from statistics import median
from typing import Any

from deploy.local.stack import ROOT, Stack
from tests.bench.counting import counting

TURNS = 8
# Lines of the smaller books that linearity is measured between, where nobody asks for others.
SMALL = 20_000
# Seals all there is whenever it is asked, and answers how many leaves there are.
SEALING = """
import os, sys
os.nice(5)
import django
django.setup()
from ledger.seals import sealer
for _ in sys.stdin:
    sealer.seal()
    print(getattr(sealer.newest(), "size", 0), flush=True)
"""


class Sealer:
    """A sealer in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SEALING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "govpay.settings"},
        )
        self.is_at_it = False

    def ask(self) -> None:
        """Let it seal, unless it is at it still."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.is_at_it and select.select([self.process.stdout], [], [], 0)[0]:
            self.process.stdout.readline()
            self.is_at_it = False
        if not self.is_at_it:
            self.process.stdin.write("again\n")
            self.is_at_it = True

    def finish(self) -> None:
        """Wait until nothing is left to seal."""
        from ledger.seals import sealer

        assert self.process.stdout is not None
        while self.is_at_it or sealer.has_work():
            self.ask()
            select.select([self.process.stdout], [], [], 1)
            if self.is_at_it:
                self.process.stdout.readline()
                self.is_at_it = False

    def end(self) -> None:
        """Let the process go."""
        self.finish()
        self.process.communicate()


def measure(entries: int) -> dict[str, Any]:
    """Return what sealing costs whoever posts, what building the tree costs, and how reading grows."""
    from tests.bench import books

    return {
        "reading": read_books(SMALL),
        "beside_posting_of_payouts": beside_posting(books.Shape(5, 500), entries // 10),
        "beside_posting_of_two_lines": beside_posting(books.Shape(200, 2), 12 * entries),
        "tree": build_tree(10 * entries),
    }


def beside_posting(shape: Any, entries: int) -> dict[str, Any]:
    """Post by turns alone and beside a sealer in a process of its own, which seals what there is, time and again."""
    from ledger import chart
    from ledger.seals import sealer
    from tests.bench import books

    chart.open_program(books.PROGRAM)
    sealer.seal()
    run = secrets.token_hex(4)
    turn = max(entries // TURNS // shape.batch, 1) * shape.batch
    seconds: dict[str, list[float]] = {"alone": [], "beside": [], "counting": [], "left": []}
    behind: list[int] = []
    beside = Sealer()
    beside.finish()
    for at in range(TURNS):
        # The machine changes its pace: whoever always came last would look slower.
        names = ("alone", "counting", "beside")
        for name in names if at % 2 else reversed(names):
            helper = beside if name == "beside" else None
            with counting() if name == "counting" else nullcontext():
                begin = time.perf_counter()
                sealed = _post(shape, f"{name} {run}", at * turn, turn, helper)
                seconds[name].append(time.perf_counter() - begin)
            begin = time.perf_counter()
            beside.finish()
            if helper is not None:
                behind.append(turn - sealed)
                seconds["left"].append(time.perf_counter() - begin)
    beside.end()
    return {
        "entries": turn * TURNS * 3,
        "lines_an_entry": shape.lines,
        "posted_a_second_alone": round(turn / min(seconds["alone"])),
        "posted_a_second_beside": round(turn / min(seconds["beside"])),
        "slower_by": _slower_by(seconds["alone"], seconds["beside"]),
        "slower_by_goal": 0.1,
        "slower_by_beside_a_process_that_only_counts": _slower_by(seconds["alone"], seconds["counting"]),
        "still_unsealed_when_posting_ended": round(median(behind) / turn, 2),
        "then_sealed_within_s": round(median(seconds["left"]), 2),
    }


def _slower_by(alone: list[float], beside: list[float]) -> float:
    return round(median(b / a for a, b in zip(alone, beside, strict=True)) - 1, 2)


def build_tree(leaves: int) -> dict[str, Any]:
    """Hash leaves and fold the tree as the sealer does, against hashlib over the same bytes, node by node."""
    from ledger.seals import tree

    payloads = [number.to_bytes(8, "big") * 40 for number in range(leaves)]
    ours, bare = [], []
    for _ in range(TURNS):
        begin = time.perf_counter()
        edge = tree.Frontier()
        for payload in payloads:
            edge.add(tree.leaf_hash(payload))
        head = edge.head()
        ours.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        level = [hashlib.sha256(b"\x00" + payload).digest() for payload in payloads]
        while len(level) > 1:
            pairs = range(0, len(level) - 1, 2)
            above = [hashlib.sha256(b"\x01" + level[at] + level[at + 1]).digest() for at in pairs]
            level = above + level[len(pairs) * 2 :]
        bare.append(time.perf_counter() - begin)
        assert head == level[0]
    return {
        "leaves": leaves,
        "leaves_a_second": round(leaves / min(ours)),
        "hashlib_leaves_a_second": round(leaves / min(bare)),
        "ours_to_hashlib": round(median(a / b for a, b in zip(ours, bare, strict=True)), 2),
        "ours_to_hashlib_goal": 2,
    }


def read_books(lines: int) -> dict[str, Any]:
    """Post and seal lines, a tenth first, and return what reading them took at both sizes, and the growth a line."""
    from ledger import books as ledger_books
    from ledger import chart
    from ledger.models import Posting
    from ledger.seals import checkpoints, sealer, verification
    from tests.bench import books

    chart.open_program(books.PROGRAM)
    sizes, took = [], []
    run = secrets.token_hex(4)
    stood = Posting.objects.count()
    for wanted in (stood + lines // 10, stood + lines):
        shape = books.Shape(200, 2)
        _post(shape, f"read {run}", len(sizes) * lines, (wanted - Posting.objects.count()) // 2)
        begin = time.perf_counter()
        sealer.seal()
        checkpoints.issue()
        sealing = time.perf_counter() - begin
        sizes.append(Posting.objects.count())
        begin = time.perf_counter()
        trial = ledger_books.trial_balance()
        balancing = time.perf_counter() - begin
        assert trial.is_balanced
        begin = time.perf_counter()
        report = verification.verify()
        verifying = time.perf_counter() - begin
        assert not report.findings, report.findings[:3]
        took.append({"sealing_new": sealing, "trial_balance": balancing, "verification": verifying})
    per_line = [{name: s / size for name, s in one.items()} for one, size in zip(took, sizes, strict=True)]
    return {
        "lines": sizes,
        "seconds": [{name: round(s, 3) for name, s in one.items()} for one in took],
        "a_line_to_a_tenth_of_them": {
            name: round(per_line[1][name] / per_line[0][name], 2)
            for name in ("trial_balance", "verification")
        },
    }


def _post(shape: Any, name: str, first: int, entries: int, beside: Sealer | None = None) -> int:
    """Post so many entries; keep the sealer at it, where there is one, and return how many it has sealed meanwhile."""
    from ledger.models import Leaf
    from tests.bench import books

    before = 0 if beside is None else Leaf.objects.count()
    for at in range(first, first + entries, shape.batch):
        if beside is not None:
            beside.ask()
        books.post(shape, name, range(at, min(at + shape.batch, first + entries)))
    return 0 if beside is None else Leaf.objects.count() - before


def main() -> None:
    """Measure reading at a chosen size on a stack of its own, and print the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.seals", description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    asked = parser.parse_args()
    with Stack(ROOT / "var" / "bench", fresh=True) as stack:
        stack.start_services()
        stack.migrate()
        os.environ |= stack.environment(owner=True)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "govpay.settings")
        import django

        django.setup()
        print(json.dumps(read_books(asked.lines), indent=1))


if __name__ == "__main__":
    main()
