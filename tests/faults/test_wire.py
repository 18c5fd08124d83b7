"""The proxy itself: each mode does to a connection what it says, and nothing else."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.faults.wire import Mode, Proxy


class Echo:
    """A server that answers each line with the same line, and remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"echo://name:word@127.0.0.1:{self.server.getsockname()[1]}/0"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer: socket.socket) -> None:
        with contextlib.suppress(ConnectionResetError), peer, peer.makefile("rb") as lines:
            for line in lines:
                self.heard.append(line)
                peer.sendall(line)


@pytest.fixture
def echo() -> Iterator[Echo]:
    found = Echo()
    yield found
    found.server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.url) as between:
        yield between


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def read_all(client: socket.socket) -> bytes:
    """Read until the end."""
    found = b""
    while chunk := client.recv(100):
        found += chunk
    return found


class TestMode:
    def test_pass_forwards_both_ways(self, proxy: Proxy, echo: Echo) -> None:
        with connect(proxy) as client:
            client.sendall(b"hello\n")
            assert client.recv(100) == b"hello\n"
        assert (echo.heard, proxy.hits) == ([b"hello\n"], 0)
        assert proxy.url == f"echo://name:word@127.0.0.1:{proxy.port}/0"

    def test_drop_keeps_it_from_the_server(self, proxy: Proxy, echo: Echo) -> None:
        proxy.fail(Mode.DROP)
        with connect(proxy) as client:
            client.sendall(b"lost\n")
            assert read_all(client) == b""
        assert (echo.heard, proxy.hits) == ([], 1)

    def test_swallow_loses_the_reply_only(self, proxy: Proxy, echo: Echo) -> None:
        proxy.fail(Mode.SWALLOW)
        with connect(proxy) as client:
            client.sendall(b"heard\n")
            assert read_all(client) == b""
        assert echo.heard == [b"heard\n"]

    def test_reset_is_one(self, proxy: Proxy, echo: Echo) -> None:
        proxy.fail(Mode.RESET)
        with connect(proxy) as client:
            client.sendall(b"heard\n")
            with pytest.raises(ConnectionResetError):
                client.recv(100)
        assert echo.heard == [b"heard\n"]

    def test_truncate_gives_half(self, proxy: Proxy) -> None:
        proxy.fail(Mode.TRUNCATE)
        with connect(proxy) as client:
            client.sendall(b"1234567\n")
            assert read_all(client) == b"1234"

    def test_duplicate_gives_it_twice(self, proxy: Proxy) -> None:
        proxy.fail(Mode.DUPLICATE)
        with connect(proxy) as client, client.makefile("rb") as lines:
            client.sendall(b"again\n")
            assert [lines.readline(), lines.readline()] == [b"again\n", b"again\n"]

    def test_drip_gives_a_byte_at_a_time(self, proxy: Proxy) -> None:
        proxy.fail(Mode.DRIP, delay_s=0.01)
        with connect(proxy) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(b"ab\n")
            assert [client.recv(100) for _ in range(3)] == [b"a", b"b", b"\n"]

    def test_delay_holds_the_reply_back(self, proxy: Proxy, echo: Echo) -> None:
        proxy.fail(Mode.DELAY, delay_s=0.5, jitter_s=0.1)
        with connect(proxy) as client:
            client.sendall(b"late\n")
            client.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.recv(100)
            client.settimeout(5)
            assert client.recv(100) == b"late\n"

    def test_hang_says_nothing_until_it_is_healed(self, proxy: Proxy, echo: Echo) -> None:
        proxy.fail(Mode.HANG)
        with connect(proxy) as client:
            client.sendall(b"lost\n")
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.recv(100)
            proxy.heal()
            client.settimeout(5)
            assert client.recv(100) == b""
        assert echo.heard == []


class TestWhen:
    def test_names_the_request_and_what_came_before(self, proxy: Proxy, echo: Echo) -> None:
        proxy.fail(Mode.SWALLOW, when=b"COMMIT", after=b"UPDATE")
        with connect(proxy) as client:
            for line in (b"COMMIT 1\n", b"UPDATE\n"):
                client.sendall(line)
                assert client.recv(100) == line
            client.sendall(b"COMMIT 2\n")
            assert read_all(client) == b""
        assert echo.heard[-1] == b"COMMIT 2\n"
        with connect(proxy) as client:
            client.sendall(b"UPDATE COMMIT 3\n")
            assert client.recv(100) == b"UPDATE COMMIT 3\n"


class TestCut:
    def test_resets_what_is_open(self, proxy: Proxy) -> None:
        with connect(proxy) as client:
            client.sendall(b"open\n")
            assert client.recv(100) == b"open\n"
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                client.recv(100)
