"""Runs one program in a session of its own, and ends it when the process that asked for it is gone.

Started as a plain file by process.py, so it imports the standard library only.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1


def read_start(pid: int) -> int | None:
    """Return the process's start in clock ticks since boot, or None when no such process lives."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in parentheses and may itself hold any character.
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def read_boot() -> str:
    """Return the id of this boot: a start time means nothing after the next one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _become(uid: int) -> None:
    if uid >= 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    # After the change of user, which would clear it.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _run_program(ready: int, gate: int, uid: int, argv: list[str]) -> None:
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _become(uid)
        os.write(ready, b"r")
        # The record of this process is on disk before the program begins: a crash leaves no unknown process.
        if os.read(gate, 1) != b"g":
            os._exit(125)
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    os._exit(127)


def _write_record(path: Path, program: int) -> None:
    record = {
        "boot": read_boot(),
        "launcher": [os.getpid(), read_start(os.getpid())],
        "program": [program, read_start(program)],
    }
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(record))
    draft.replace(path)


def _end_group(program: int, grace_s: float) -> None:
    end = time.monotonic() + grace_s
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(program, number)
        except ProcessLookupError:
            return
        while time.monotonic() < end:
            if os.waitpid(program, os.WNOHANG)[0]:
                end = time.monotonic()
                break
            time.sleep(0.05)


def main() -> int:
    """Run ``parent record uid grace_s program arguments...`` and return what a shell would."""
    parent, record, uid, grace_s = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gate, opener = os.pipe()
    readied, ready = os.pipe()
    program = os.fork()
    if program == 0:
        os.close(opener)
        os.close(readied)
        _run_program(ready, gate, uid, sys.argv[5:])
    os.close(gate)
    os.close(ready)
    # Whoever reads the record may signal the group at once, so the group must exist by then.
    os.read(readied, 1)
    os.close(readied)
    _write_record(record, program)
    watch = os.pidfd_open(program)
    # The program may have been killed already, between its record and its beginning.
    with contextlib.suppress(BrokenPipeError):
        os.write(opener, b"g")
    os.close(opener)
    while os.getppid() == parent:
        if select.select([watch], [], [], 0.5)[0]:
            status = os.waitpid(program, 0)[1]
            record.unlink(missing_ok=True)
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    _end_group(program, grace_s)
    record.unlink(missing_ok=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
