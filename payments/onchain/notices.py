"""Hears the node's notices of new blocks over ZMQ: a wake-up and nothing more, whatever a message says."""

from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import zmq

from payments.onchain import node

TOPIC = b"hashblock"
# A peer that does not answer for so long is gone: the socket connects anew by itself.
HEARTBEAT_MS = 5_000


def find_url(client: node.Node) -> str:
    """Return where the node publishes blocks, or an empty text when it does not; raise a NodeError."""
    for found in client.call("getzmqnotifications"):
        if found.get("type") == "pubhashblock":
            return _reachable(str(found["address"]), client.host)
    return ""


def _reachable(url: str, host: str) -> str:
    """Put the node's host where it says that it listens on all of them."""
    parts = urlsplit(url)
    if parts.scheme == "tcp" and parts.hostname in ("0.0.0.0", "*", "::"):  # noqa: S104 - it is read, not bound.
        return f"tcp://{host}:{parts.port}"
    return url


class BlockNotices:
    """A subscription. Notices may be lost, doubled, reordered or forged: polling finds what they do not say."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        self._socket.setsockopt(zmq.MAXMSGSIZE, 1_000)
        self._socket.setsockopt(zmq.SUBSCRIBE, TOPIC)

    def __enter__(self) -> Self:
        self._socket.connect(self.url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def wait(self, timeout_s: float) -> bool:
        """Return whether something was heard within the time; all that waits is taken as one notice."""
        if not self._socket.poll(int(timeout_s * 1000)):
            return False
        while self._socket.poll(0):
            self._socket.recv_multipart()
        return True
