"""`python -m tests.chaos --seconds 60 --seed 7`: break the real stack, heal it, judge it; answer 1 on a violation."""

import argparse
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from deploy.local.stack import ROOT
from tests.chaos.stage import Stage
from tests.invariants.checks import Violation


def main() -> int:
    """Run, print the report, and say how to run it again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--every", type=float, default=1.5, help="seconds between faults, on average")
    parser.add_argument("--state", type=Path, default=ROOT / "var" / "chaos")
    parser.add_argument(
        "--keep", action="store_true", help="leave everything running after a violation, to look"
    )
    parser.add_argument("--simulation", action="store_true", help="run the simulation for as long beside it")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(10**9) if chosen.seed is None else chosen.seed
    print(f"chaos: seed {seed}, {chosen.seconds:.0f} s, a fault every {chosen.every} s", flush=True)
    beside = start_simulation(seed, chosen.seconds) if chosen.simulation else None
    failed = run(
        chosen.state.resolve(), seed=seed, seconds=chosen.seconds, every_s=chosen.every, keep=chosen.keep
    )
    if beside is not None:
        failed |= beside.wait() != 0
    if failed:
        print(f"again: make chaos SECONDS={chosen.seconds:.0f} SEED={seed}; its state is in {chosen.state}")
    return int(failed)


def run(state: Path, *, seed: int, seconds: float, every_s: float, keep: bool = False) -> bool:
    """Break, heal, judge and report; return whether an invariant was violated."""
    state.mkdir(parents=True, exist_ok=True)
    with Stage(state, seed=seed) as stage:
        os.environ.update(stage.stack.environment(owner=True))
        os.environ["DJANGO_SETTINGS_MODULE"] = "govpay.settings"
        import django

        django.setup()
        from django.db import connection

        # A stopped worker may hold the wallet's row: people come back later, as they do when the web process gives up.
        connection.settings_dict["OPTIONS"]["options"] += " -c lock_timeout=3000"
        from tests.chaos.people import Ministry
        from tests.chaos.run import Run

        ministry = Ministry(random.Random(seed + 1), stage.near.url)
        one = Run(stage, ministry, seed=seed, fault_every_s=every_s, say=lambda line: print(line, flush=True))
        one.prepare()
        one.break_things(seconds)
        one.heal()
        try:
            one.finish()
            one.judge()
        except (Violation, TimeoutError) as violation:
            one.report.violation = str(violation)
        one.collect()
        one.write(state / "report.json")
        print("\n".join(one.report.lines()), flush=True)
        if keep and one.report.violation:
            keep_running(state)
        return bool(one.report.violation)


def keep_running(state: Path) -> None:
    """Leave everything running until Ctrl-C."""
    print(f"kept running until Ctrl-C; ports, passwords and logs are in {state}", flush=True)
    with suppress(KeyboardInterrupt):
        signal.pause()


def start_simulation(seed: int, seconds: float) -> "subprocess.Popen[bytes]":
    """Run S0 with fresh seeds for as long, in a process of its own."""
    words = ["-m", "tests.simulation", "--seconds", str(seconds), "--seed", str(seed)]
    return subprocess.Popen([sys.executable, *words], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
