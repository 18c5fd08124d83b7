"""A node that misbehaves on demand: an HTTP server on loopback that a test scripts reply by reply."""

import json
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

Reply = Callable[["FakeNode", socket.socket, dict[str, Any]], None]


def http(status: str, body: bytes, *, length: int | None = None) -> bytes:
    """Return an HTTP reply, with a Content-Length that may lie."""
    claimed = len(body) if length is None else length
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), claimed, body)


def result(value: object) -> Reply:
    """Answer properly."""

    def reply(_: "FakeNode", peer: socket.socket, request: dict[str, Any]) -> None:
        body = json.dumps({"result": value, "error": None, "id": request["id"]})
        peer.sendall(http("200 OK", body.encode()))

    return reply


def error(rpc_code: int, message: str) -> Reply:
    """Answer with the node's own kind of error."""

    def reply(_: "FakeNode", peer: socket.socket, request: dict[str, Any]) -> None:
        failure = {"code": rpc_code, "message": message}
        body = json.dumps({"result": None, "error": failure, "id": request["id"]})
        peer.sendall(http("500 Internal Server Error", body.encode()))

    return reply


def raw(data: bytes) -> Reply:
    """Answer with these bytes, then close."""

    def reply(_: "FakeNode", peer: socket.socket, _request: dict[str, Any]) -> None:
        peer.sendall(data)
        peer.close()

    return reply


def close(_: "FakeNode", peer: socket.socket, _request: dict[str, Any]) -> None:
    """Swallow the request and close."""
    peer.close()


def silence(_: "FakeNode", _peer: socket.socket, _request: dict[str, Any]) -> None:
    """Swallow the request and say nothing."""


def drip(node: "FakeNode", peer: socket.socket, request: dict[str, Any]) -> None:
    """Answer a byte at a time, each well within any timeout of a single read."""
    body = json.dumps({"result": 1, "error": None, "id": request["id"]}).encode()
    for byte in http("200 OK", body):
        if node.is_stopping.wait(0.02):
            return
        try:
            peer.sendall(bytes([byte]))
        except OSError:
            return


class FakeNode:
    """Answers one reply per request, in order; what it was asked is in ``requests``."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.connections = 0
        self.is_stopping = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.05)
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        return f"http://officer:open-sesame@127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> "FakeNode":
        self._threads[0].start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.is_stopping.set()
        for thread in self._threads:
            thread.join()
        self._server.close()

    def _accept(self) -> None:
        while not self.is_stopping.is_set():
            try:
                peer, _ = self._server.accept()
            except TimeoutError:
                continue
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(peer,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer: socket.socket) -> None:
        buffered = b""
        peer.settimeout(0.05)
        with peer:
            while not self.is_stopping.is_set() and peer.fileno() >= 0:
                try:
                    received = peer.recv(65536)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not received:
                    return
                buffered += received
                buffered = self._answer(peer, buffered)

    def _answer(self, peer: socket.socket, buffered: bytes) -> bytes:
        head, separator, body = buffered.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        lengths = [int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length")]
        if not separator or len(body) < lengths[0]:
            return buffered
        self.headers.append(head.decode())
        self.requests.append(json.loads(body))
        self.replies.pop(0)(self, peer, self.requests[-1])
        return b""


def eventually(is_true: Callable[[], bool], *, within_s: float = 5) -> None:
    """Wait until it is true; fail after the time."""
    deadline = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
