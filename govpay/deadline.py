"""Lets http.client read and write a socket against one deadline: a byte a second must not hold a worker."""

import io
import select
import socket
import time
from typing import Any


class _DeadlineReader(io.RawIOBase):
    """Reads a socket until the deadline of the whole reply."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining_s = self._deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("The reply took too long.")
        self._sock.settimeout(remaining_s)
        return self._raw.readinto(buffer)  # type: ignore[attr-defined,no-any-return]

    def close(self) -> None:
        self._raw.close()
        super().close()


class DeadlineSocket:
    """What http.client needs of a socket, with the deadline of the request under way, by the monotonic clock."""

    def __init__(self, sock: socket.socket, deadline: float = 0.0) -> None:
        self.sock = sock
        self.deadline = deadline

    def sendall(self, data: bytes) -> None:
        self.sock.settimeout(max(self.deadline - time.monotonic(), 0.001))
        self.sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self.sock, self.deadline))

    def close(self) -> None:
        self.sock.close()

    def is_idle(self) -> bool:
        """Tell whether the connection is open and has nothing for us, as it must before a request."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)
