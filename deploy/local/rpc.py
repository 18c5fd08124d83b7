"""A JSON-RPC client for the stack's own tools; amounts are Decimal or text, never float."""

import base64
import http.client
import itertools
import json
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit


class RpcError(Exception):
    """The node answered with an error: its code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class Rpc:
    """Calls one node (or one wallet of it), a connection a call."""

    def __init__(self, url: str, *, wallet: str | None = None, timeout_s: float = 60) -> None:
        parts = urlsplit(url)
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(login.encode()).decode(),
            "Content-Type": "application/json",
        }
        self._address = (parts.hostname or "127.0.0.1", parts.port or 18443)
        self._path = "/" if wallet is None else f"/wallet/{wallet}"
        self._timeout_s = timeout_s
        self._ids = itertools.count(1)

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Return the call's result; raises RpcError for the node's refusals, OSError when nobody answers."""
        number = next(self._ids)
        body = json.dumps(
            {"id": number, "method": method, "params": named or list(arguments)}, default=_format
        )
        connection = http.client.HTTPConnection(*self._address, timeout=self._timeout_s)
        try:
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            raw = response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"the node's answer was cut off: {error!r}") from error
        finally:
            connection.close()
        if not raw.startswith(b"{"):
            raise RpcError(
                -response.status, f"HTTP {response.status} {raw[:80].decode(errors='replace')}".strip()
            )
        answer = json.loads(raw, parse_float=Decimal)
        if answer["error"] is not None:
            raise RpcError(answer["error"]["code"], answer["error"]["message"])
        if answer["id"] != number:
            raise RpcError(0, f"the reply is for call {answer['id']}, not {number}")
        return answer["result"]


def _format(value: Any) -> str:
    # The node reads an amount from text too, and text survives where a float would round.
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} cannot be sent")
