"""`python -m tests.simulation --seconds 60 --seed 7`: run the state machine with ever new seeds until the time is over."""

import argparse
import itertools
import sys
import time

import hypothesis
from hypothesis.stateful import run_state_machine_as_test

from tests.invariants.checks import Violation
from tests.simulation.machine import PayoutMachine
from tests.simulation.stopping import StoppingMachine
from tests.simulation.test_simulation import SETTINGS

RUNS_AT_ONCE = 200


def main() -> int:
    """Run batches; print how many runs held, or the violation with its seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    end = time.monotonic() + chosen.seconds
    runs = 0
    for seed in itertools.count(chosen.seed):
        for machine in (PayoutMachine, StoppingMachine):
            settings = hypothesis.settings(SETTINGS, max_examples=RUNS_AT_ONCE, database=None)
            seeded = hypothesis.seed(seed)(type(machine.__name__, (machine,), {}))
            try:
                run_state_machine_as_test(seeded, settings=settings)
            except Violation as violation:
                print(
                    f"simulation: VIOLATION {violation}; machine {machine.__name__}, seed {seed}", flush=True
                )
                return 1
            runs += RUNS_AT_ONCE
        if time.monotonic() >= end:
            break
    print(f"simulation: {runs} runs from seed {chosen.seed} to {seed}, every invariant held", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
