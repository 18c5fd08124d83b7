"""A proxy between govpay and its node that knows HTTP and JSON-RPC: it fails chosen calls of chosen methods."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.faults.wire import Fault, Mode, Proxy

ANY = "*"
# Answers that are not the node's: status line and body. None of them reaches the node.
FORGED: dict[str, tuple[str, bytes]] = {
    "busy": ("503 Service Unavailable", b"Work queue depth exceeded"),
    "unauthorized": ("401 Unauthorized", b""),
    "forbidden": ("403 Forbidden", b""),
    "html": ("200 OK", b"<html><body>Please log in to this network.</body></html>"),
    "garbage": ("200 OK", bytes(range(128, 256))),
}
# Answers that the node gave, and that are spoilt on the way.
CUT_JSON, OTHER, STALE = "cut_json", "other", "stale"


@dataclass
class Message:
    """An HTTP request or reply: its first lines, without their end, and its body."""

    head: bytes
    body: bytes

    def encode(self) -> bytes:
        """Return the bytes on the wire."""
        return self.head + b"\r\n\r\n" + self.body


class NodeProxy(Proxy):
    """Forwards to the node; ``fail`` lets calls of one method fail, ``answer`` and ``refuse`` speak in the node's place.

    Modes: those of ``wire.Mode``; ``busy`` (503), ``unauthorized`` (401), ``forbidden`` (403), ``html``, ``garbage``;
    ``cut_json`` (well-formed HTTP around half of the JSON), ``other`` (the reply belongs to another call) and ``stale``
    (the reply before comes once more, and the true one behind it), after which the node has acted. ``seen`` counts the
    calls of each method, ``failed`` those that met a fault.
    """

    def __init__(self, target_url: str, *, seed: int = 0) -> None:
        super().__init__(target_url, seed=seed)
        self.faults: dict[str, Fault] = {}
        self.canned: dict[str, Any] = {}
        self.seen: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def fail(self, method: str, mode: str, times: int | None = 1, **details: Any) -> None:  # type: ignore[override]
        """Let the next calls of a method (``*``: of every method) fail, or all until healed with ``times=None``."""
        with self._lock:
            self.faults[method] = Fault(mode, times, **details)

    def answer(self, method: str, result: Any, times: int | None = None) -> None:
        """Give this result (JSON) to the calls of a method; the node does not hear of them."""
        self._can(method, {"result": result, "error": None}, times)

    def refuse(self, method: str, code: int, message: str, times: int | None = None) -> None:
        """Give this error to the calls of a method; the node does not hear of them."""
        self._can(method, {"result": None, "error": {"code": code, "message": message}}, times)

    def heal(self, method: str | None = None) -> None:
        """End the faults of one method, or all."""
        with self._lock:
            if method is None:
                self.faults.clear()
            else:
                self.faults.pop(method, None)
        self._loop.call_soon_threadsafe(self._wake)

    def _can(self, method: str, reply: dict[str, Any], times: int | None) -> None:
        with self._lock:
            self.canned[method] = reply
            self.faults[method] = Fault("canned", times)

    def _take_method(self, method: str) -> tuple[Fault | None, str]:
        with self._lock:
            self.seen[method] += 1
            for name in (method, ANY):
                fault = self.faults.get(name)
                if fault is not None and fault.times != 0:
                    self._count(fault)
                    self.failed[method] += 1
                    return fault, name
        return None, method

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        before = b""
        try:
            while True:
                request = await read_message(reader)
                asked = json.loads(request.body)
                method = asked["method"] if isinstance(asked, dict) else "batch"
                fault, name = self._take_method(method)
                await self._hold(fault)
                if fault is not None and fault.mode in FORGED:
                    status, body = FORGED[fault.mode]
                    await self._reply(writer, forge(status, body), None)
                    continue
                if fault is not None and fault.mode == "canned":
                    canned = json.dumps(self.canned[name] | {"id": asked.get("id")})
                    status = "200 OK" if self.canned[name]["error"] is None else "500 Internal Server Error"
                    await self._reply(writer, forge(status, canned.encode()), None)
                    continue
                if server is None or server[0].at_eof():
                    server = await asyncio.open_connection(self.parts.hostname, self.parts.port)
                    self._writers.add(server[1])
                server[1].write(request.encode())
                reply = await read_message(server[0])
                await self._reply(writer, spoil(reply, fault, before), fault)
                before = reply.encode()
                if b"connection: close" in reply.head.lower():
                    return
        finally:
            if server is not None:
                self._writers.discard(server[1])
                server[1].close()


async def read_message(reader: asyncio.StreamReader) -> Message:
    """Read one HTTP message whose length its head gives, as a node's always does."""
    head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    return Message(head, await reader.readexactly(length))


def forge(status: str, body: bytes) -> bytes:
    """Return an HTTP reply of our own."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def spoil(reply: Message, fault: Fault | None, before: bytes) -> bytes:
    """Return the node's reply, spoilt where the fault changes its content; ``before`` is the one before it."""
    mode = Mode.PASS if fault is None else fault.mode
    if mode == CUT_JSON:
        return forge("200 OK", reply.body[: len(reply.body) // 2])
    if mode == OTHER:
        return forge("200 OK", json.dumps(json.loads(reply.body) | {"id": "another call"}).encode())
    if mode == STALE:
        return before + reply.encode()
    return reply.encode()
