"""Speaks JSON-RPC with the node over HTTP: exact numbers, compared ids, one deadline, no silent retry."""

import base64
import http.client
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit

from govpay import errors
from govpay.deadline import DeadlineSocket

# What the node says of something that it does not have, and of a parameter that it cannot follow.
NOT_FOUND = -5
INVALID_PARAMETER = -8
# Methods that change nothing may be asked again when a kept-alive connection turns out to be closed.
_READ_PREFIXES = ("get", "list", "estimate", "decode", "test")
_CHANGING = frozenset({"getnewaddress", "getrawchangeaddress"})
_WALLET_CODES = frozenset({-13, -18, -19})
_WARMING_UP = -28


class NodeError(errors.Unavailable):
    """The base of what can go wrong between us and the node."""

    code = "node_error"


class NodeMisconfigured(NodeError):
    """GOVPAY_NODE_URL is not a URL of a node."""

    code = "node_misconfigured"
    is_transient = False


class NodeUnreachable(NodeError):
    """No connection to the node: nothing was sent."""

    code = "node_unreachable"


class NodeTimeout(NodeError):
    """The request was sent and no whole reply came: whether the node acted is unknown."""

    code = "node_timeout"


class NodeBusy(NodeError):
    """The node has too much to do, or is still starting."""

    code = "node_busy"


class NodeUnauthorized(NodeError):
    """The node does not take our name and password."""

    code = "node_unauthorized"
    is_transient = False


class NodeReplyInvalid(NodeError):
    """What came back is not a reply to the request: whether the node acted is unknown."""

    code = "node_reply_invalid"


class RpcError(NodeError):
    """The node answered with an error; ``rpc_code``, ``method`` and the node's own ``reason``."""

    code = "node_refused"
    is_transient = False

    def __init__(self, *, method: str, rpc_code: int, reason: str) -> None:
        message = f"The node refused {method}: {reason} ({rpc_code})."
        super().__init__(message, method=method, rpc_code=rpc_code)
        self.method = method
        self.rpc_code = rpc_code
        self.reason = reason


class WalletUnavailable(RpcError):
    """The node's wallet is not loaded, cannot be loaded, or is locked."""

    code = "wallet_unavailable"
    is_transient = True


def encode(value: object) -> str:
    """Write a parameter as JSON, decimals in plain digits; raise TypeError on a float: it is never exact."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list | tuple):
        return "[" + ",".join(encode(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{encode(item)}" for key, item in value.items()) + "}"
    if value is None or isinstance(value, str | int):
        return json.dumps(value)
    raise TypeError(f"{type(value).__name__} is not sent to the node.")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number.")


class Transport:
    """A kept-alive connection per thread to one node; its credentials never leave it."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port or 8332
        except ValueError:
            port = 0
        if parts.scheme != "http" or not parts.hostname or not port:
            raise NodeMisconfigured("The node's address must look like http://NAME:PASSWORD@HOST:PORT.")
        self.host, self.port, self.timeout_s = parts.hostname, port, timeout_s
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self._authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        self._ids = itertools.count(1)
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"Transport({self.host}:{self.port})"

    def call(self, path: str, method: str, params: tuple[object, ...]) -> Any:
        """Return the result of one call; raise a NodeError."""
        request_id, body = self._request(method, params)
        status, reply = self._exchange(path, method, body.encode())
        with self._trusted():
            return _result(method, request_id, status, _read(method, status, reply))

    def call_many(self, path: str, method: str, calls: Sequence[tuple[object, ...]]) -> list[Any]:
        """Return the results of many calls of one method, asked in one request; an RpcError stands for its own call.

        Raises any other NodeError: then nothing is known of any of them.
        """
        if not calls:
            return []
        requests = [self._request(method, params) for params in calls]
        body = "[" + ",".join(text for _, text in requests) + "]"
        status, reply = self._exchange(path, method, body.encode())
        with self._trusted():
            return _results(method, [request_id for request_id, _ in requests], status, reply)

    @contextmanager
    def _trusted(self) -> Iterator[None]:
        """Leave the connection when what it gave is no reply to the request: the true one may still come on it."""
        try:
            yield
        except NodeReplyInvalid:
            self.close()
            raise

    def _request(self, method: str, params: tuple[object, ...]) -> tuple[str, str]:
        request_id = f"{os.getpid()}-{next(self._ids)}"
        text = f'{{"jsonrpc":"1.0","id":"{request_id}","method":{encode(method)},"params":{encode(params)}}}'
        return request_id, text

    def close(self) -> None:
        """Close this thread's connection, if there is one."""
        open_now: DeadlineSocket | None = getattr(self._local, "sock", None)
        if open_now is not None:
            open_now.close()
        self._local.sock = None

    def _exchange(self, path: str, method: str, body: bytes) -> tuple[int, bytes]:
        deadline = time.monotonic() + self.timeout_s
        is_reading = method.startswith(_READ_PREFIXES) and method not in _CHANGING
        sock, was_open = self._connected(deadline)
        try:
            return self._post(sock, deadline, path, body)
        except TimeoutError as error:
            self.close()
            raise NodeTimeout(f"The node did not answer {method} in {self.timeout_s} s.") from error
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            self.close()
            if not (was_open and is_reading):
                raise NodeTimeout(f"The node closed the connection during {method}.") from error
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise NodeReplyInvalid(f"The node's reply to {method} broke off or is not HTTP.") from error
        # The peer closed the idle connection as we wrote, and asking twice changes nothing: ask once more.
        return self._exchange(path, method, body)

    def _connected(self, deadline: float) -> tuple[DeadlineSocket, bool]:
        """Return an open connection and whether it was open before, reconnecting where the peer closed it."""
        open_now: DeadlineSocket | None = getattr(self._local, "sock", None)
        # A connection inherited through fork() belongs to the parent, and two readers would mix replies.
        if open_now is not None and self._local.pid == os.getpid() and open_now.is_idle():
            return open_now, True
        self.close()
        try:
            connected = socket.create_connection(
                (self.host, self.port), timeout=max(deadline - time.monotonic(), 0.001)
            )
        except OSError as error:
            raise NodeUnreachable(f"No connection to the node at {self.host}:{self.port}.") from error
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._local.sock, self._local.pid = DeadlineSocket(connected), os.getpid()
        return self._local.sock, False

    def _post(self, sock: DeadlineSocket, deadline: float, path: str, body: bytes) -> tuple[int, bytes]:
        sock.deadline = deadline
        connection = http.client.HTTPConnection(self.host, self.port)
        connection.sock = sock
        connection.request(
            "POST",
            path,
            body=body,
            headers={"Authorization": self._authorization, "Content-Type": "application/json"},
        )
        response = connection.getresponse()
        reply = response.read()
        if response.will_close:
            self.close()
        return response.status, reply


def _read(method: str, status: int, reply: bytes) -> Any:
    if status in (401, 403):
        raise NodeUnauthorized("The node does not take our name and password.", http_status=status)
    if status == 503:
        raise NodeBusy(f"The node is too busy for {method}.")
    try:
        return json.loads(reply, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise NodeReplyInvalid(f"The node's reply to {method} is not JSON (HTTP {status}).") from error


def _results(method: str, request_ids: list[str], status: int, reply: bytes) -> list[Any]:
    found = _read(method, status, reply)
    if not isinstance(found, list) or len(found) != len(request_ids):
        # A node that is starting, or refuses the whole, answers with one object.
        _result(method, "", status, found)
        raise NodeReplyInvalid(f"The node's reply to {method} is not one answer a call (HTTP {status}).")
    results: list[Any] = []
    for request_id, answer in zip(request_ids, found, strict=True):
        try:
            results.append(_result(method, request_id, status, answer))
        except RpcError as error:
            results.append(error)
    return results


def _result(method: str, request_id: str, status: int, found: Any) -> Any:
    if not isinstance(found, dict) or found.get("id") != request_id:
        raise NodeReplyInvalid(f"The node's reply to {method} belongs to another call (HTTP {status}).")
    failure = found.get("error")
    if failure is None and status == 200 and "result" in found:
        return found["result"]
    if not isinstance(failure, dict) or not isinstance(failure.get("code"), int):
        raise NodeReplyInvalid(f"The node's reply to {method} has no result and no error (HTTP {status}).")
    rpc_code, reason = failure["code"], str(failure.get("message", ""))
    if rpc_code == _WARMING_UP:
        raise NodeBusy(f"The node is starting: {reason}")
    kind = WalletUnavailable if rpc_code in _WALLET_CODES else RpcError
    raise kind(method=method, rpc_code=rpc_code, reason=reason)
