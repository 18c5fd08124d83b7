"""Slow clients, against the real web server: what it bears by itself, and what the proxy before it is for (A20).

A client that sends nothing has a thread for some seconds. One that has begun a request has it until either ends; that nobody
holds them all is the work of the proxy, which reads requests whole and ends clients that send a byte now and then.
"""

import contextlib
import http.client
import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from deploy.local.stack import Stack
from tests import schema, services

# As many as the local stack's web process has.
THREADS, DEADLINE_S = 8, 20
HEAD = (
    b"POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
)
LOGIN = b"POST /api/v1/auth/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A stack's web process."""
    state = services.ensure_state_dir() / f"slow-{os.getpid()}"
    with Stack(state, fresh=True, durable=False, outside=services.outside_environment()) as stack:
        stack.start_services()
        schema.fill(stack)
        stack.start_web()
        yield urlsplit(stack.web_url).port or 0


@pytest.fixture
def opened(port: int) -> Iterator[list[socket.socket]]:
    """Connections, which end with the test."""
    found: list[socket.socket] = []
    yield found
    for sock in found:
        sock.close()


def begin(port: int, opened: list[socket.socket], sent: bytes = b"") -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    opened.append(made)
    made.sendall(sent)
    return made


def status(port: int, timeout_s: float = DEADLINE_S) -> int:
    """What an honest client is answered; raises TimeoutError where nobody has time for it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    with contextlib.closing(connection):
        connection.request("GET", "/api/v1/nothing/")
        return connection.getresponse().status


class TestIdle:
    def test_connections_give_their_threads_back(self, port: int, opened: list[socket.socket]) -> None:
        for _ in range(THREADS):
            begin(port, opened)
        assert [status(port) for _ in range(5)] == [404] * 5


class TestSlow:
    @pytest.mark.parametrize(
        "sent",
        [b"G", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{", HEAD + b"Transfer-Encoding: chunked\r\n\r\n5"],
    )
    def test_requests_leave_the_other_threads_to_others(
        self, port: int, opened: list[socket.socket], sent: bytes
    ) -> None:
        for _ in range(THREADS - 1):
            begin(port, opened, sent)
        assert [status(port) for _ in range(5)] == [404] * 5

    def test_requests_on_every_thread_are_what_the_proxy_keeps_away(
        self, port: int, opened: list[socket.socket]
    ) -> None:
        """The limit that the operator's guide names; when they hang up, all is as before."""
        for _ in range(THREADS):
            begin(port, opened, HEAD + b"Content-Length: 100\r\n\r\n{")
        with pytest.raises(TimeoutError):
            status(port, timeout_s=2)
        for sock in opened:
            sock.close()
        assert [status(port) for _ in range(5)] == [404] * 5

    def test_request_that_breaks_off_is_not_taken_for_a_whole_one(
        self, port: int, opened: list[socket.socket]
    ) -> None:
        body = b'{"username": "nobody", "password": "x"}'
        sock = begin(port, opened, LOGIN + b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body)
        sock.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(sock, method="POST")
        answer.begin()
        # Not 401: nobody looked at the password.
        assert answer.status == 400
        assert b"parse_error" in answer.read()


class TestHuge:
    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", b"431"),
            (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 1_000 + b"\r\n", b"431"),
            (HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", b"400"),
            (HEAD + b"Transfer-Encoding: br, chunked\r\n\r\n0\r\n\r\n", b"501"),
        ],
    )
    def test_or_crooked_headers_are_refused(
        self, port: int, opened: list[socket.socket], sent: bytes, code: bytes
    ) -> None:
        sock = begin(port, opened)
        with contextlib.suppress(ConnectionError):
            sock.sendall(sent)
        assert sock.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 " + code
        assert status(port) == 404
