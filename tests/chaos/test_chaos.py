"""A short run of the chaos on a fixed seed: the same code as `make chaos`, in a process of its own."""

import subprocess
import sys

import pytest

from deploy.local.stack import ROOT
from tests import services

pytestmark = pytest.mark.real
SEED, SECONDS = 20_261_125, 20


class TestChaos:
    def test_ends_with_every_invariant_held(self) -> None:
        state = services.ensure_state_dir() / "chaos"
        words = [
            "-m",
            "tests.chaos",
            f"--seconds={SECONDS}",
            f"--seed={SEED}",
            "--every=1",
            f"--state={state}",
        ]
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=services.outside_environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"seed {SEED}: every invariant held" in done.stdout
