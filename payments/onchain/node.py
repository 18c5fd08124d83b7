"""Asks the node for what govpay needs of it, one typed verb each: the only way to chain and signer."""

from django.conf import settings

from payments.onchain.chain import BlockHeader, BlockUnknown, Chain, ChainInfo, NetworkInfo, UtxoScan
from payments.onchain.mempool import Mempool, MempoolEntry, TestReply
from payments.onchain.rpc import (
    NodeBusy,
    NodeError,
    NodeMisconfigured,
    NodeReplyInvalid,
    NodeTimeout,
    NodeUnauthorized,
    NodeUnreachable,
    RpcError,
    WalletUnavailable,
)
from payments.onchain.wallet import SignReply, Wallet

__all__ = [
    "BlockHeader",
    "BlockUnknown",
    "ChainInfo",
    "MempoolEntry",
    "NetworkInfo",
    "Node",
    "NodeBusy",
    "NodeError",
    "NodeMisconfigured",
    "NodeReplyInvalid",
    "NodeTimeout",
    "NodeUnauthorized",
    "NodeUnreachable",
    "RpcError",
    "SignReply",
    "TestReply",
    "UtxoScan",
    "WalletUnavailable",
    "connect",
]


def connect() -> "Node":
    """Return the node that the settings name; nothing is sent yet."""
    return Node(settings.GOVPAY_NODE_URL, timeout_s=settings.GOVPAY_NODE_TIMEOUT_S)


class Node(Chain, Mempool, Wallet):
    """A node, or one wallet of it. Every verb raises rpc.NodeError; hashes are display hex."""

    def __repr__(self) -> str:
        return f"Node({self._transport.host}:{self._transport.port}, wallet={self.wallet!r})"

    def for_wallet(self, name: str) -> "Node":
        """Return the same node, on the same connection, speaking to the wallet of this name."""
        return Node("", wallet=name, transport=self._transport)
