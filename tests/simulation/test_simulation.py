"""S0: the engine holds through thousands of crashes, and known mistakes are caught by the same machine."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.invariants import checks
from tests.simulation import broken
from tests.simulation.machine import PayoutMachine
from tests.simulation.stopping import StoppingMachine

RUNS = int(os.environ.get("GOVPAY_SIMULATION_RUNS", "1000"))
SETTINGS = settings(
    max_examples=RUNS,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


class TestEngine:
    def test_pays_everybody_exactly_once_whatever_crashes(self) -> None:
        run_state_machine_as_test(PayoutMachine, settings=SETTINGS)

    def test_stands_still_while_it_is_stopped_and_then_pays_everybody(self) -> None:
        run_state_machine_as_test(StoppingMachine, settings=settings(SETTINGS, max_examples=RUNS // 4))


class TestTheMachineItself:
    @pytest.mark.parametrize(
        ("mistake", "invariant"),
        [
            (broken.BuildBroadcastSave, "I1"),
            (broken.RetryBuildsAnew, "I1"),
            (broken.ReuseOutpoint, "I9"),
            (broken.BumpDropsInput, "I1"),
            (broken.VoidFreesAtOnce, "I1"),
            (broken.VoidFreesBeforeFinal, "I1"),
            (broken.ResignElsewhere, "I1"),
            (broken.OrphansNeverDie, "I5"),
            (broken.MergeReserved, "I9"),
            (broken.HoldWholeGroup, "I5"),
            (broken.QuarantineSigned, "I1"),
        ],
    )
    def test_catches(self, mistake: type[PayoutMachine], invariant: str) -> None:
        hunting = settings(
            SETTINGS,
            max_examples=2_000,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            derandomize=True,
        )
        with pytest.raises(checks.Violation, match=f"^{invariant}"):
            run_state_machine_as_test(mistake, settings=hunting)
