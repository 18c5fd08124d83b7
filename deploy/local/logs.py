"""Shows the logs of several processes as one stream, each line after its process's name."""

import os
import sys
from pathlib import Path
from typing import IO

from deploy.local.process import Process

COLORS = (36, 33, 32, 35, 34, 31, 96, 93)
CHUNK = 1 << 20


class Stream:
    """Follows log files; color only on a terminal, and not where NO_COLOR asks for none."""

    def __init__(self, output: IO[str] = sys.stdout) -> None:
        self.output = output
        self.is_colored = output.isatty() and "NO_COLOR" not in os.environ
        self._followed: list[tuple[str, Path]] = []
        self._offsets: dict[Path, int] = {}
        self._rest: dict[Path, bytes] = {}

    def follow(self, started: Process, *, from_now: bool = False) -> None:
        """Show what this process writes from its start on, or from now."""
        self._followed.append((started.name, started.log))
        self._offsets[started.log] = started.log.stat().st_size if from_now else started.log_offset

    def show(self) -> None:
        """Print the lines that came since the last call."""
        for index, (name, log) in enumerate(self._followed):
            for line in self._read_lines(log):
                self.output.write(self._prefix(index, name) + line + "\n")
        self.output.flush()

    def _prefix(self, index: int, name: str) -> str:
        text = f"{name:<9}| "
        return f"\x1b[{COLORS[index % len(COLORS)]}m{text}\x1b[0m" if self.is_colored else text

    def _read_lines(self, log: Path) -> list[str]:
        with log.open("rb") as source:
            source.seek(self._offsets[log])
            new = source.read(CHUNK)
        self._offsets[log] += len(new)
        *lines, self._rest[log] = (self._rest.get(log, b"") + new).split(b"\n")
        return [line.decode(errors="replace") for line in lines]
