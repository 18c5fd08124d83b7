"""Where calls to a node go: over one connection to the node itself, or to one wallet of it."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from payments.onchain import rpc

# A request with more calls than this could outlast the node's patience with one connection.
_CALLS_AT_ONCE = 500


class Endpoint:
    """The calls of a node, or of one wallet of it, by their names; every one raises rpc.NodeError."""

    def __init__(
        self,
        url: str,
        *,
        wallet: str | None = None,
        timeout_s: float = 30,
        transport: rpc.Transport | None = None,
    ) -> None:
        self._transport = transport or rpc.Transport(url, timeout_s=timeout_s)
        self.wallet = wallet
        self._path = "/" if wallet is None else "/wallet/" + quote(wallet, safe="")

    @property
    def host(self) -> str:
        """The name or address of the node's machine."""
        return self._transport.host

    @property
    def url_key(self) -> str:
        """What tells this node from another: host and port."""
        return f"{self._transport.host}:{self._transport.port}"

    def call(self, method: str, *params: object) -> Any:
        """Call any method of the node; raise a NodeError. Decimals stay exact, floats are refused."""
        return self._transport.call(self._path, method, params)

    def call_many(self, method: str, calls: Sequence[tuple[object, ...]]) -> list[Any]:
        """Call a method many times in few requests; a call that the node refuses has an RpcError for its result."""
        parts = range(0, len(calls), _CALLS_AT_ONCE)
        return [
            result
            for at in parts
            for result in self._transport.call_many(self._path, method, calls[at : at + _CALLS_AT_ONCE])
        ]

    def call_each(self, method: str, calls: Sequence[tuple[object, ...]]) -> list[Any]:
        """Call a method many times in few requests; raise the first refusal."""
        results = self.call_many(method, calls)
        for result in results:
            if isinstance(result, rpc.RpcError):
                raise result
        return results

    def close(self) -> None:
        """Close this thread's connection; the next call opens another."""
        self._transport.close()
