"""Stands between two programs and loses, delays or mangles what they say: for PostgreSQL, Redis and any stream."""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

CHUNK_BYTES = 65_536
HOST = "127.0.0.1"


class Mode(StrEnum):
    """What happens to a request and its reply."""

    PASS = "pass"
    DROP = "drop"  # The server never sees the request; the connection closes.
    HANG = "hang"  # The server never sees the request; the connection stays open and silent.
    SWALLOW = "swallow"  # The server gets the request; instead of its reply the connection closes.
    RESET = "reset"  # The server gets the request; instead of its reply comes a reset.
    DELAY = "delay"  # The reply comes after ``delay_s``, give or take ``jitter_s``.
    TRUNCATE = "truncate"  # Half of the reply comes, then the connection closes.
    DRIP = "drip"  # The reply comes a byte at a time, ``delay_s`` apart.
    DUPLICATE = "duplicate"  # The reply comes twice.


@dataclass
class Fault:
    """A mode for the next ``times`` requests (None: until healed).

    It starts with a request that contains ``when``, on a connection that sent ``after`` before or with it.
    """

    mode: str
    times: int | None = 1
    when: bytes = b""
    after: bytes = b""
    delay_s: float = 1.0
    jitter_s: float = 0.0


class ConnectionLost(Exception):
    """The fault ends the connection."""


@dataclass
class Link:
    """One connection: what it has said so far, and the fault that its reply meets."""

    fault: Fault | None = None
    has_said_after: bool = False
    is_answered: bool = True


class Proxy:
    """Listens on a free port of the loopback interface and forwards to ``target_url``, in a thread of its own.

    ``fail`` and ``heal`` may be called from any thread; ``hits`` counts the requests that met a fault.
    """

    def __init__(self, target_url: str, *, seed: int = 0) -> None:
        self.parts = urlsplit(target_url)
        self.hits = 0
        self.fault: Fault | None = None
        self.random = random.Random(seed)
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._healed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The address to give to whoever should go through here: the target's, with this port."""
        login = self.parts.netloc.rpartition("@")[0]
        netloc = f"{login}@{HOST}:{self.port}" if login else f"{HOST}:{self.port}"
        return self.parts._replace(netloc=netloc).geturl()

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, HOST, 0))
        self.port = int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Close every connection and end the thread."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def fail(self, mode: str, times: int | None = 1, **details: Any) -> None:
        """Let the next requests fail; ``details`` are those of Fault."""
        with self._lock:
            self.fault = Fault(mode, times, **details)

    def heal(self) -> None:
        """End every fault; what hangs is closed."""
        with self._lock:
            self.fault = None
        self._loop.call_soon_threadsafe(self._wake)

    def cut(self) -> None:
        """Reset every connection that is open now."""
        self._run(self._cut())

    # What follows runs in the proxy's own thread.

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    def _wake(self) -> None:
        self._healed.set()
        self._healed = asyncio.Event()

    async def _cut(self) -> None:
        for writer in list(self._writers):
            reset(writer)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        except (OSError, ConnectionLost, asyncio.IncompleteReadError, asyncio.CancelledError):
            # Either side went away, the fault says so, or the proxy stops: in each case the connection closes.
            writer.transport.abort() if writer.is_closing() else writer.close()
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self.parts.hostname, self.parts.port)
        self._writers.add(server_writer)
        link = Link()
        ways = [
            asyncio.ensure_future(self._carry_requests(link, reader, server_writer)),
            asyncio.ensure_future(self._carry_replies(link, server_reader, writer)),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writers.discard(server_writer)
            server_writer.close()

    async def _carry_requests(
        self, link: Link, reader: asyncio.StreamReader, server: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            # A long request comes in pieces; the fault of the first holds for all of them.
            if link.is_answered:
                link.fault = self._take(link, chunk)
            link.is_answered = link.fault is None
            await self._hold(link.fault)
            server.write(chunk)
            await server.drain()

    async def _carry_replies(
        self, link: Link, server: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while chunk := await server.read(CHUNK_BYTES):
            await self._reply(writer, chunk, link.fault)
            link.is_answered = True

    def _take(self, link: Link, request: bytes) -> Fault | None:
        """Return the fault that this request meets, and count it."""
        with self._lock:
            fault = self.fault
            if fault is None or fault.times == 0:
                return None
            link.has_said_after |= fault.after in request
            if fault.when not in request or not link.has_said_after:
                return None
            self._count(fault)
            return fault

    def _count(self, fault: Fault) -> None:
        self.hits += 1
        if fault.times is not None:
            fault.times -= 1

    async def _hold(self, fault: Fault | None) -> None:
        """Keep a request from the server, if the fault says so."""
        if fault is not None and fault.mode == Mode.DROP:
            raise ConnectionLost
        if fault is not None and fault.mode == Mode.HANG:
            await self._healed.wait()
            raise ConnectionLost

    async def _reply(self, writer: asyncio.StreamWriter, reply: bytes, fault: Fault | None) -> None:
        """Send a reply as the fault lets it through."""
        mode = Mode.PASS if fault is None else fault.mode
        if fault is not None and mode == Mode.DELAY:
            await asyncio.sleep(max(fault.delay_s + self.random.uniform(-1, 1) * fault.jitter_s, 0))
        if mode == Mode.SWALLOW:
            raise ConnectionLost
        if mode == Mode.RESET:
            reset(writer)
            raise ConnectionLost
        if fault is not None and mode == Mode.DRIP:
            for byte in reply:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(fault.delay_s)
            return
        if mode == Mode.TRUNCATE:
            reply = reply[: len(reply) // 2]
        # At once, so that a peer that has read the first has the second waiting as well.
        writer.write(reply * 2 if mode == Mode.DUPLICATE else reply)
        await writer.drain()
        if mode == Mode.TRUNCATE:
            raise ConnectionLost


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection the rude way: the peer gets a reset."""
    found = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
