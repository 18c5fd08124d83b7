"""`make up` as a technician meets it: addresses and logins, an answer in the browser, Ctrl-C, nothing left."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import launcher, up
from deploy.local.stack import ROOT
from tests import services

pytestmark = pytest.mark.real


def list_recorded(state_dir: Path) -> list[int]:
    """Return the ids of every program of the stack."""
    return [json.loads(path.read_text())["program"][0] for path in (state_dir / "run").glob("*.json")]


@pytest.fixture
def running(state_dir: Path) -> Iterator["subprocess.Popen[str]"]:
    started = subprocess.Popen(
        [sys.executable, "-m", "deploy.local.up", "--state", str(state_dir)],
        cwd=ROOT,
        env=services.outside_environment() | {"GOVPAY_BLOCK_S": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield started
    started.kill()
    started.wait()
    assert started.stdout is not None
    started.stdout.close()


def read_until(running: "subprocess.Popen[str]", pattern: str) -> str:
    """Return what was printed up to and with the line that matches; fail when the run ended before."""
    assert running.stdout is not None
    seen = ""
    for line in running.stdout:
        seen += line
        if re.search(pattern, line):
            return seen
    raise AssertionError(f"ended before {pattern!r}:\n{seen}")


FUNDING_ADDRESS = (
    "from payments.models import Program; from payments.selectors import programs;"
    "print(programs.funding_wallet(Program.objects.get().pk).funding_address or str())"
)


def in_its_shell(state_dir: Path, command: str) -> str:
    """Run a command in another terminal of the stack and return what it printed; fail after three minutes."""
    done = subprocess.run(
        ["sh", "-c", f". {state_dir}/environment.sh; {command}"],
        cwd=ROOT,
        env=services.outside_environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    return done.stdout


class TestUp:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_serves_mines_and_stops_without_leaving_a_process(
        self, running: "subprocess.Popen[str]", state_dir: Path, number: int
    ) -> None:
        seen = read_until(running, r"^Ctrl-C stops everything")
        web = re.search(r"Web +(\S+)", seen)
        assert web is not None
        with urllib.request.urlopen(web[1] + "admin/login/", timeout=20) as response:
            assert response.status == 200
        cast = "ayesha bruno carmen dalia emil farid grace ines jamal karin hugo"
        for login in cast.split():
            assert re.search(rf"^ +\S.* {login} +\S{{12}}$", seen, re.MULTILINE), login
        read_until(running, r"^miner +\| block [0-9]+ [0-9a-f]{64}$")
        programs = list_recorded(state_dir)
        assert len(programs) == 11
        running.send_signal(number)
        assert running.wait(60) == 0
        assert [launcher.read_start(pid) for pid in programs] == [None] * 11
        assert not list((state_dir / "run").iterdir())

    def test_anchors_the_books_of_a_program_with_coins(
        self, running: "subprocess.Popen[str]", state_dir: Path, tmp_path: Path
    ) -> None:
        read_until(running, r"^Ctrl-C stops everything")
        manage = f"{sys.executable} manage.py"
        address = f'''until a=$({manage} shell -v 0 -c "{FUNDING_ADDRESS}") && [ "$a" ]; do sleep 1; done'''
        in_its_shell(state_dir, f"{address}; {sys.executable} -m deploy.local.fund $a 1000000")
        export = f"until {manage} export_anchor {tmp_path} 2>/dev/null; do sleep 1; done"
        assert "is in block" in in_its_shell(state_dir, export)
        assert [path for path in tmp_path.iterdir() if path.suffix == ".ots"]

    def test_stops_everything_when_a_part_dies(
        self, running: "subprocess.Popen[str]", state_dir: Path
    ) -> None:
        read_until(running, r"^Ctrl-C stops everything")
        programs = list_recorded(state_dir)
        beat = json.loads((state_dir / "run" / "beat.json").read_text())["program"][0]
        os.kill(beat, signal.SIGKILL)
        seen = read_until(running, "^Stopping")
        assert "beat ended with code 137, so everything is stopped." in seen
        assert running.wait(60) == 1
        assert [launcher.read_start(pid) for pid in programs] == [None] * 11


@pytest.mark.parametrize(("network", "is_permitted"), [(None, True), ("regtest", True), ("signet", False)])
def test_a_receiver_on_this_machine_can_be_tried_on_regtest_alone(
    network: str | None, is_permitted: bool
) -> None:
    outside = {} if network is None else {"GOVPAY_NETWORK": network}
    assert ("GOVPAY_OUTBOUND_LOOPBACK" in up.settings_of(outside)) is is_permitted
