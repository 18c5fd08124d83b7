"""A short run of the chaos on a fixed seed: the same code as `make chaos`, in a process of its own; and its deck."""

import json
import subprocess
import sys

import pytest

from deploy.local.stack import ROOT
from tests import services
from tests.chaos.catalog import CATALOG
from tests.chaos.deck import Deck

SEED, SECONDS = 20_261_125, 20


class TestDeck:
    def test_deals_every_fault_once_before_any_comes_again(self) -> None:
        deck = Deck(CATALOG, SEED)
        assert {deck.deal().name for _ in CATALOG} == {fault.name for fault in CATALOG}
        more = [deck.deal().name for _ in range(1_000)]
        assert more.count("fail calls of the node") > more.count("slow Redis")

    def test_is_ordered_by_the_seed_alone(self) -> None:
        first, second, other = Deck(CATALOG, SEED), Deck(CATALOG, SEED), Deck(CATALOG, SEED + 1)
        order = [first.deal() for _ in range(100)]
        assert order == [second.deal() for _ in range(100)]
        assert order != [other.deal() for _ in range(100)]

    def test_deals_again_what_could_not_happen_at_its_turn(self) -> None:
        deck = Deck(CATALOG, SEED)
        missed, happened = deck.deal(), deck.deal()
        deck.put_back(missed, times=0)
        deck.put_back(happened, times=1)
        assert missed not in [deck.deal() for _ in CATALOG[2:]]
        assert deck.missed == [missed]
        assert missed in [deck.deal() for _ in range(20)]
        assert deck.missed == []


@pytest.mark.real
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
            timeout=1_200,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"seed {SEED}: every invariant held" in done.stdout
        figures = json.loads((state / "report.json").read_text())["figures"]
        assert figures["payouts voided"] >= 1
        assert figures["payments voided"] == figures["reissues"] >= 1
