"""Starts, watches and ends the stack's programs, each in a group of its own that no crash leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deploy.local import launcher
from deploy.local.errors import LocalStackError

LAUNCHER = Path(launcher.__file__)
GRACE_S = 8.0
LOG_MAX_BYTES = 20_000_000


class Process:
    """A program that was started, with its id and its log."""

    def __init__(
        self, name: str, popen: subprocess.Popen[bytes], pid: int, log: Path, log_offset: int
    ) -> None:
        self.name = name
        self.pid = pid
        self.log = log
        self.log_offset = log_offset
        self._popen = popen
        self._is_swept = False

    def poll(self) -> int | None:
        """Return None while it runs, else its exit code (128 + number when a signal ended it)."""
        return self._popen.poll()

    @property
    def is_running(self) -> bool:
        """Tell whether the program has not ended."""
        return self.poll() is None

    def wait(self, timeout_s: float | None = None) -> int:
        """Return the exit code; raise subprocess.TimeoutExpired."""
        return self._popen.wait(timeout_s)

    def send(self, number: int) -> None:
        """Send a signal to the program alone (its children are not told)."""
        if self.is_running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End the whole group at once, as a power cut would (SIGKILL)."""
        self._kill_group()
        self._popen.wait()

    def _kill_group(self) -> None:
        # Once after the end too: a program that was killed alone leaves children behind in its group.
        if not self._is_swept:
            self._is_swept = not self.is_running
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = GRACE_S) -> int:
        """Ask the program to end, insist with SIGKILL after the timeout, and return its exit code."""
        self.send(number)
        # A stopped process does not see the request before it is continued.
        self.send(signal.SIGCONT)
        return self.finish(timeout_s)

    def finish(self, timeout_s: float = GRACE_S) -> int:
        """Wait for an end that was asked for, insist with SIGKILL after the timeout; return the exit code."""
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout_s)
        self.kill()
        return self._popen.wait()

    def tail(self, lines: int = 12) -> str:
        """Return the end of what this run wrote to its log."""
        written = self.log.read_bytes()[self.log_offset :].decode(errors="replace")
        return "\n".join(written.splitlines()[-lines:])


def start(
    name: str,
    argv: list[str],
    *,
    state_dir: Path,
    environment: dict[str, str],
    directory: Path | None = None,
    uid: int = -1,
    grace_s: float = GRACE_S,
) -> Process:
    """Start a program whose log is ``state_dir/log/NAME.log``; ``uid`` -1 keeps the caller's user.

    What an earlier, crashed run left of the same name in the same state directory is ended first.
    """
    end_leftover(state_dir, name)
    record, log = _record(state_dir, name), state_dir / "log" / f"{name}.log"
    for folder in (record.parent, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_MAX_BYTES:
        log.replace(log.with_suffix(".log.1"))
    words = [
        sys.executable,
        "-I",
        "-S",
        str(LAUNCHER),
        str(os.getpid()),
        str(record),
        str(uid),
        str(grace_s),
        *argv,
    ]
    with log.open("ab") as output:
        log_offset = output.tell()
        popen = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory or "/",
            env=environment,
            start_new_session=True,
        )
    return Process(name, popen, _read_pid(name, popen, record, log), log, log_offset)


def _read_pid(name: str, popen: subprocess.Popen[bytes], record: Path, log: Path) -> int:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with suppress(FileNotFoundError):
            found = json.loads(record.read_text())
            if found["launcher"][0] == popen.pid:
                return int(found["program"][0])
        if popen.poll() is not None:
            # It ended within the first moments and took its record along; its group id is of no use any more.
            return popen.pid
        time.sleep(0.005)
    popen.kill()
    raise LocalStackError(f"{name} did not start within 10 s; see {log}.")


def end_leftover(state_dir: Path, name: str) -> bool:
    """End what a crashed run left under this name, known by id and start time; tell whether there was any."""
    record = _record(state_dir, name)
    try:
        found = json.loads(record.read_text())
    except FileNotFoundError:
        return False
    known = [(int(pid), start) for pid, start in (found["program"], found["launcher"])]

    def is_alive(which: tuple[int, int]) -> bool:
        return found["boot"] == launcher.read_boot() and launcher.read_start(which[0]) == which[1]

    was_alive = any(is_alive(which) for which in known)
    program = known[0]
    for number in (signal.SIGTERM, signal.SIGKILL):
        if is_alive(program):
            with suppress(ProcessLookupError):
                os.killpg(program[0], number)
                os.killpg(program[0], signal.SIGCONT)
        wait_until(lambda: not any(is_alive(which) for which in known), timeout_s=GRACE_S)
    if any(is_alive(which) for which in known):
        raise LocalStackError(
            f"{name} of an earlier run (process {program[0]}) does not end; end it by hand."
        )
    record.unlink(missing_ok=True)
    return was_alive


def wait_until(condition: Callable[[], bool], *, timeout_s: float, pause_s: float = 0.02) -> bool:
    """Return whether the condition came true in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(pause_s)
    return True


def wait_ready(process: Process, is_ready: Callable[[], bool], *, timeout_s: float = 30) -> None:
    """Wait till the program answers; raise LocalStackError with the end of its log when it does not."""
    wait_until(lambda: not process.is_running or is_ready(), timeout_s=timeout_s)
    if process.is_running and is_ready():
        return
    state = "does not answer" if process.is_running else f"ended with code {process.poll()}"
    process.stop()
    raise LocalStackError(f"{process.name} {state}; the end of its log:\n{process.tail()}")


def _record(state_dir: Path, name: str) -> Path:
    return state_dir / "run" / f"{name}.json"
