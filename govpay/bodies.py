"""Keeps a body that broke off from being taken for a whole one.

At the end of what a client has sent, a server reads nothing more and says no more than that; a file of people that was cut
after a line would be a shorter file of people. So a body that ends before its announced length cannot be read.
"""

from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class BodyBrokeOff(OSError):
    """The client went away before it had sent what it announced; Django makes an UnreadablePostError of it."""


class WholeBody:
    """Reads a body of an announced length in bytes, or raises BodyBrokeOff."""

    def __init__(self, stream: Any, length: int) -> None:
        self._stream = stream
        self._left = length

    def read(self, size: int = -1) -> bytes:
        """Return as many bytes as are asked for, and fewer at the end of the body only."""
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        parts = []
        while wanted:
            part = self._stream.read(wanted)
            if not part:
                raise BodyBrokeOff(f"The body broke off {self._left} bytes before its end.")
            parts.append(part)
            wanted -= len(part)
            self._left -= len(part)
        return b"".join(parts)

    def readline(self, size: int = -1) -> bytes:
        """Return a line, or the part of one that was asked for."""
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        line: bytes = self._stream.readline(wanted) if wanted else b""
        self._left -= len(line)
        if wanted and len(line) < wanted and not line.endswith(b"\n"):
            raise BodyBrokeOff(f"The body broke off {self._left} bytes before its end.")
        return line


def whole(application: Application) -> Application:
    """Let an application read whole bodies only; what comes in chunks is the server's to end."""

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH") or ""
        if length.isdecimal():
            environ["wsgi.input"] = WholeBody(environ["wsgi.input"], int(length))
        return application(environ, start_response)

    return serve
