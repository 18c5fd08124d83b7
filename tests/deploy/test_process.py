"""Programs end with the process that started them, whatever ended that one, and only they do."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import launcher, process
from deploy.local.errors import LocalStackError
from deploy.local.logs import Stream

ENVIRONMENT = {"PATH": os.environ["PATH"]}
# Starts a program that has a child of its own, prints the ids, and waits to be killed.
PARENT = """
import sys, time
from pathlib import Path
from deploy.local import process
started = process.start(
    "victim",
    ["sh", "-c", "sleep 300 & echo $!; wait"],
    state_dir=Path(sys.argv[1]),
    environment={"PATH": sys.argv[2]},
)
while not started.log.read_text().endswith("\\n"):
    time.sleep(0.01)
print(started.pid, started.log.read_text().strip(), flush=True)
time.sleep(300)
"""


def start_sleep(state_dir: Path, name: str = "sleeper") -> process.Process:
    return process.start(name, ["sleep", "300"], state_dir=state_dir, environment=ENVIRONMENT)


def is_gone(pid: int) -> bool:
    return launcher.read_start(pid) is None


class TestStart:
    def test_writes_output_to_the_log_and_tells_the_exit_code(self, tmp_path: Path) -> None:
        started = process.start(
            "hello", ["sh", "-c", "echo hello; exit 7"], state_dir=tmp_path, environment=ENVIRONMENT
        )
        assert started.wait(10) == 7
        assert started.tail() == "hello"
        assert not list((tmp_path / "run").iterdir())

    def test_tells_a_program_that_is_not_there_apart(self, tmp_path: Path) -> None:
        started = process.start("none", ["/no/such/program"], state_dir=tmp_path, environment=ENVIRONMENT)
        assert started.wait(10) == 127
        assert started.tail() == "/no/such/program: No such file or directory"

    def test_ends_the_program_and_its_children_when_the_parent_is_killed(self, tmp_path: Path) -> None:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(tmp_path), os.environ["PATH"]],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert parent.stdout is not None
        program, child = (int(word) for word in parent.stdout.readline().split())
        assert not is_gone(program)
        assert not is_gone(child)
        parent.kill()
        parent.wait()
        parent.stdout.close()
        assert process.wait_until(lambda: is_gone(program) and is_gone(child), timeout_s=10)

    def test_ends_what_an_earlier_run_left_under_the_name(self, tmp_path: Path) -> None:
        first = start_sleep(tmp_path)
        second = start_sleep(tmp_path)
        assert first.wait(10) == 128 + signal.SIGTERM
        assert second.is_running
        assert second.stop() == 128 + signal.SIGTERM


class TestEndLeftover:
    def test_spares_a_process_that_only_has_the_same_id(self, tmp_path: Path) -> None:
        stranger = start_sleep(tmp_path / "stranger")
        record = tmp_path / "run" / "sleeper.json"
        record.parent.mkdir()
        start = launcher.read_start(stranger.pid)
        assert start is not None
        record.write_text(
            json.dumps(
                {
                    "boot": launcher.read_boot(),
                    "program": [stranger.pid, start - 1],
                    "launcher": [stranger.pid, start - 1],
                }
            )
        )
        assert process.end_leftover(tmp_path, "sleeper") is False
        assert stranger.is_running
        assert not record.exists()
        stranger.stop()

    def test_spares_every_process_after_a_reboot(self, tmp_path: Path) -> None:
        survivor = start_sleep(tmp_path)
        record = tmp_path / "run" / "sleeper.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | {"boot": "another"}))
        assert process.end_leftover(tmp_path, "sleeper") is False
        assert survivor.is_running
        survivor.stop()


class TestKill:
    def test_ends_a_program_within_its_first_moments(self, tmp_path: Path) -> None:
        for _ in range(20):
            newborn = start_sleep(tmp_path)
            newborn.kill()
            assert newborn.poll() == 128 + signal.SIGKILL
        assert not list((tmp_path / "run").iterdir())


class TestStop:
    def test_insists_when_the_program_does_not_listen(self, tmp_path: Path) -> None:
        words = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]
        deaf = process.start("deaf", words, state_dir=tmp_path, environment=ENVIRONMENT)
        assert process.wait_until(lambda: deaf.tail() == "ready", timeout_s=10)
        assert deaf.stop(timeout_s=0.3) == 128 + signal.SIGKILL

    def test_ends_a_program_that_stands_still(self, tmp_path: Path) -> None:
        stopped = start_sleep(tmp_path)
        stopped.send(signal.SIGSTOP)
        assert stopped.stop() == 128 + signal.SIGTERM

    def test_ends_the_children_of_a_program_that_was_killed_alone(self, tmp_path: Path) -> None:
        words = ["sh", "-c", "sleep 300 & echo $!; wait"]
        parent = process.start("parent", words, state_dir=tmp_path, environment=ENVIRONMENT)
        assert process.wait_until(lambda: parent.tail() != "", timeout_s=10)
        child = int(parent.tail())
        parent.send(signal.SIGKILL)
        assert parent.wait(10) == 128 + signal.SIGKILL
        assert not is_gone(child)
        parent.stop()
        assert process.wait_until(lambda: is_gone(child), timeout_s=10)


class TestWaitReady:
    def test_shows_the_end_of_the_log_when_the_program_ended(self, tmp_path: Path) -> None:
        words = ["sh", "-c", "echo the disk is full; exit 3"]
        broken = process.start("broken", words, state_dir=tmp_path, environment=ENVIRONMENT)
        with pytest.raises(LocalStackError, match=r"broken ended with code 3.*\n.*the disk is full"):
            process.wait_ready(broken, lambda: False, timeout_s=10)


class TestShow:
    def test_leaves_out_what_came_before_when_asked(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        started = process.start("web", ["echo", "one"], state_dir=tmp_path, environment=ENVIRONMENT)
        started.wait(10)
        stream = Stream(sys.stdout)
        stream.follow(started, from_now=True)
        with started.log.open("a") as log:
            log.write("two\n")
        stream.show()
        assert capsys.readouterr().out == "web      | two\n"

    def test_puts_the_name_before_each_whole_line(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        started = process.start(
            "web",
            ["sh", "-c", "echo one; echo two; printf half"],
            state_dir=tmp_path,
            environment=ENVIRONMENT,
        )
        started.wait(10)
        stream = Stream(sys.stdout)
        stream.follow(started)
        stream.show()
        stream.show()
        assert capsys.readouterr().out == "web      | one\nweb      | two\n"
