"""Asks the node for what govpay needs of it, one typed verb each: the only way to chain and signer."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from django.conf import settings

from payments.onchain import address, amount, fee, network, rpc, send, tx
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

_NOT_FOUND = -5
_INVALID_PARAMETER = -8
_WALLET_ERROR = -4
_ALREADY_LOADED = -35
_ALL_COINS = 21_000_000
# A request with more calls than this could outlast the node's patience with one connection.
_CALLS_AT_ONCE = 500
# Part of every node's word for a tx that is right in all but its signatures.
_SIGNATURES_REFUSED = "script-verify-flag"
_NO_PREVIOUS_BLOCK = "0" * 64


class BlockUnknown(rpc.NodeError):
    """The node does not have the block: it is on another chain, or has pruned it."""

    code = "block_unknown"


class ChainInfo(NamedTuple):
    """The node's view of its chain; times in Unix seconds."""

    chain: str
    height: int
    best_block_hash: str
    median_time: int
    tip_time: int
    pruned: bool
    initial_download: bool


class BlockHeader(NamedTuple):
    """A block by its place; ``confirmations`` is -1 off the best chain, ``prev_hash`` zeros for genesis."""

    hash: str
    height: int
    prev_hash: str
    time: int
    confirmations: int


class NetworkInfo(NamedTuple):
    """Which software the node is, and the least feerate it relays."""

    version: int
    subversion: str
    connections: int
    relay_feerate_sat_kvb: int


class SignReply(NamedTuple):
    """A PSBT after signing; ``raw`` is the final tx once every input is signed."""

    psbt: str
    is_complete: bool
    raw: bytes | None


class MempoolEntry(NamedTuple):
    """A tx in the mempool: its own fee and vsize, and those of all that would leave the mempool with it."""

    fee_sat: int
    vsize_vb: int
    descendant_fee_sat: int
    descendant_count: int


class TestReply(NamedTuple):
    """What the node says of a tx without signatures; not acceptable and not lacking inputs: its outputs are refused."""

    is_acceptable: bool
    lacks_inputs: bool
    reason: str


class UtxoScan(NamedTuple):
    """All unspent outputs to some scripts at one block: outpoint, output, height it was mined at."""

    block_hash: str
    height: int
    unspents: list[tuple[tx.OutPoint, tx.Output, int]]


def connect() -> "Node":
    """Return the node that the settings name; nothing is sent yet."""
    return Node(settings.GOVPAY_NODE_URL, timeout_s=settings.GOVPAY_NODE_TIMEOUT_S)


class Node:
    """A node, or one wallet of it. Every verb raises rpc.NodeError; hashes are display hex."""

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

    def __repr__(self) -> str:
        return f"Node({self._transport.host}:{self._transport.port}, wallet={self.wallet!r})"

    @property
    def host(self) -> str:
        """The name or address of the node's machine."""
        return self._transport.host

    @property
    def url_key(self) -> str:
        """What tells this node from another: host and port."""
        return f"{self._transport.host}:{self._transport.port}"

    def for_wallet(self, name: str) -> "Node":
        """Return the same node, on the same connection, speaking to the wallet of this name."""
        return Node("", wallet=name, transport=self._transport)

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

    def _call_each(self, method: str, calls: Sequence[tuple[object, ...]]) -> list[Any]:
        """Call a method many times in few requests; raise the first refusal."""
        results = self.call_many(method, calls)
        for result in results:
            if isinstance(result, rpc.RpcError):
                raise result
        return results

    def close(self) -> None:
        """Close this thread's connection; the next call opens another."""
        self._transport.close()

    # The chain

    def chain_info(self) -> ChainInfo:
        """Return the chain's name and tip."""
        found = self.call("getblockchaininfo")
        return ChainInfo(
            chain=found["chain"],
            height=found["blocks"],
            best_block_hash=found["bestblockhash"],
            median_time=found["mediantime"],
            tip_time=found["time"],
            pruned=found["pruned"],
            initial_download=found["initialblockdownload"],
        )

    def network_info(self) -> NetworkInfo:
        """Return the node's software and its relay feerate."""
        found = self.call("getnetworkinfo")
        return NetworkInfo(
            version=found["version"],
            subversion=found["subversion"],
            connections=found["connections"],
            relay_feerate_sat_kvb=fee.feerate_from_btc_kvb(found["relayfee"]),
        )

    def block_hash(self, height: int) -> str | None:
        """Return the hash of the best chain's block at the height, None above the tip."""
        if height < 0:
            raise ValueError("There is no block below zero.")
        try:
            return str(self.call("getblockhash", height))
        except rpc.RpcError as error:
            if error.rpc_code == _INVALID_PARAMETER:
                return None
            raise

    def block_header(self, block_hash: str) -> BlockHeader:
        """Return a block's place; raise BlockUnknown."""
        found = self._block("getblockheader", block_hash, True)
        return BlockHeader(
            hash=found["hash"],
            height=found["height"],
            prev_hash=found.get("previousblockhash", _NO_PREVIOUS_BLOCK),
            time=found["time"],
            confirmations=found["confirmations"],
        )

    def raw_block(self, block_hash: str) -> bytes:
        """Return a block's bytes; raise BlockUnknown."""
        return bytes.fromhex(self._block("getblock", block_hash, 0))

    def _block(self, method: str, block_hash: str, verbosity: object) -> Any:
        try:
            return self.call(method, block_hash, verbosity)
        except rpc.RpcError as error:
            # -5 is a hash it never saw; -1 a block whose bytes it pruned or has yet to download.
            if error.rpc_code not in (_NOT_FOUND, -1):
                raise
            raise BlockUnknown(
                f"The node does not have block {block_hash}: {error.reason}", block_hash=block_hash
            ) from error

    def utxo(self, outpoint: tx.OutPoint, *, include_mempool: bool) -> tx.Output | None:
        """Return an output if it is unspent (in the mempool's view too, if asked), else None."""
        found = self.call("gettxout", outpoint.txid, outpoint.vout, include_mempool)
        return None if found is None else _output(found["value"], found["scriptPubKey"]["hex"])

    def utxos(self, outpoints: Sequence[tx.OutPoint], *, include_mempool: bool) -> list[tx.Output | None]:
        """Return each of the outputs if it is unspent, else None, in one request."""
        calls = [(outpoint.txid, outpoint.vout, include_mempool) for outpoint in outpoints]
        found = self.call_many("gettxout", calls)
        for answer in found:
            if isinstance(answer, rpc.RpcError):
                raise answer
        return [None if f is None else _output(f["value"], f["scriptPubKey"]["hex"]) for f in found]

    def scan_utxos(self, scripts: Sequence[bytes]) -> UtxoScan:
        """Return what is unspent to the scripts, all at one block, from the node's own set.

        Raises NodeBusy while another scan runs.
        """
        descriptors = [f"raw({script_pubkey.hex()})" for script_pubkey in scripts]
        try:
            found = self.call("scantxoutset", "start", descriptors)
        except rpc.RpcError as error:
            if error.rpc_code == _INVALID_PARAMETER and "in progress" in error.reason:
                raise rpc.NodeBusy("The node is scanning for somebody else.") from error
            raise
        if not found["success"]:
            raise rpc.NodeBusy("The node broke the scan off.")
        unspents = [
            (tx.OutPoint(u["txid"], u["vout"]), _output(u["amount"], u["scriptPubKey"]), int(u["height"]))
            for u in found["unspents"]
        ]
        return UtxoScan(found["bestblock"], found["height"], unspents)

    # The mempool

    def send_raw(self, raw: bytes, *, max_feerate_sat_kvb: int, txid: str | None = None) -> send.SendReply:
        """Broadcast a tx, any number of times, and return what the answer means (send.classify).

        The answer is compared with ``txid``, which a caller that knows it need not have computed again.
        Raises tx.MalformedTx, and NodeUnreachable and NodeUnauthorized, after which nothing was sent. All
        else is an outcome: an answer that may hide an acceptance is UNKNOWN.
        """
        txid = txid or tx.txid_of(raw)
        try:
            answer = self.call("sendrawtransaction", raw.hex(), fee.btc_kvb(max_feerate_sat_kvb))
        except (rpc.NodeUnreachable, rpc.NodeUnauthorized):
            raise
        except rpc.NodeError as error:
            return send.classify(error)
        if answer != txid:
            return send.classify(rpc.NodeReplyInvalid("The node answered a send with another txid."))
        return send.classify(txid)

    def test_unsigned(self, unsigned: bytes) -> TestReply:
        """Ask whether the mempool would take a tx but for its signatures, which the node looks at last."""
        found = self.call("testmempoolaccept", [unsigned.hex()])[0]
        reason = str(found.get("reject-reason", ""))
        if found["allowed"] or _SIGNATURES_REFUSED in reason:
            return TestReply(is_acceptable=True, lacks_inputs=False, reason=reason)
        outcome = send.classify_reason(reason)
        return TestReply(
            is_acceptable=outcome not in (None, send.SendOutcome.MISSING_INPUTS),
            lacks_inputs=outcome == send.SendOutcome.MISSING_INPUTS,
            reason=reason,
        )

    def mempool_has(self, txid: str) -> bool:
        """Tell whether the tx waits in the node's mempool."""
        return self.mempool_entry(txid) is not None

    def mempool_entry(self, txid: str) -> MempoolEntry | None:
        """Return what the node's mempool says of a tx, None when it is not there."""
        try:
            found = self.call("getmempoolentry", txid)
        except rpc.RpcError as error:
            if error.rpc_code == _NOT_FOUND:
                return None
            raise
        return MempoolEntry(
            fee_sat=amount.sat_from_node(found["fees"]["base"]),
            vsize_vb=int(found["vsize"]),
            descendant_fee_sat=amount.sat_from_node(found["fees"]["descendant"]),
            descendant_count=int(found["descendantcount"]),
        )

    def mempool_lacks(self, txids: Sequence[str]) -> set[str]:
        """Return those of the txs that do not wait in the node's mempool."""
        answers = self.call_many("getmempoolentry", [(txid,) for txid in txids])
        lacking = set()
        for txid, answer in zip(txids, answers, strict=True):
            if isinstance(answer, rpc.RpcError):
                if answer.rpc_code != _NOT_FOUND:
                    raise answer
                lacking.add(txid)
        return lacking

    def mempool_tx(self, txid: str) -> bytes | None:
        """Return a tx that waits in the node's mempool, None when it has left it."""
        try:
            return bytes.fromhex(self.call("getrawtransaction", txid))
        except rpc.RpcError as error:
            if error.rpc_code == _NOT_FOUND:
                return None
            raise

    def mempool_spender(self, outpoints: Sequence[tx.OutPoint]) -> str | None:
        """Return the txid of the mempool's tx that spends the first of the outpoints that is spent, or None."""
        return next(iter(self.mempool_spenders(outpoints)), None)

    def mempool_spenders(self, outpoints: Sequence[tx.OutPoint]) -> list[str]:
        """Return the txids of the mempool's txs that spend any of the outpoints, each once, in their order."""
        asked = [{"txid": outpoint.txid, "vout": outpoint.vout} for outpoint in outpoints]
        found = self.call("gettxspendingprevout", asked)
        return list(dict.fromkeys(entry["spendingtxid"] for entry in found if "spendingtxid" in entry))

    def mempool_min_feerate_sat_kvb(self) -> int:
        """Return the least feerate that this node's mempool takes now."""
        found = self.call("getmempoolinfo")
        return fee.feerate_from_btc_kvb(max(found["mempoolminfee"], found["minrelaytxfee"]))

    def incremental_feerate_sat_kvb(self) -> int:
        """Return the feerate, over its own size, by which a replacement must outbid what it replaces (BIP125)."""
        return fee.feerate_from_btc_kvb(self.call("getmempoolinfo")["incrementalrelayfee"])

    def estimate_feerate_sat_kvb(self, target_blocks: int) -> int | None:
        """Return the feerate expected to confirm within the blocks, None while the node has no estimate.

        What is no number at all is no estimate either; zero and less are passed on as they are.
        """
        found = self.call("estimatesmartfee", target_blocks)
        feerate: Any = found.get("feerate") if isinstance(found, dict) else None
        # More coins than there are is as little an estimate as a word is.
        if isinstance(feerate, bool) or not isinstance(feerate, int | Decimal):
            return None
        if abs(Decimal(feerate)) > _ALL_COINS:
            return None
        return fee.feerate_from_btc_kvb(feerate)

    # The wallet

    def ensure_wallet(self, name: str, *, is_watching: bool = False) -> None:
        """Load the wallet, and create it only if the node has none of this name; it stays over restarts.

        One that is made to watch can never hold a private key, and is empty.

        Raises WalletUnavailable when it exists and cannot be loaded.
        """
        if name in self.call("listwallets"):
            return
        if any(entry["name"] == name for entry in self.call("listwalletdir")["wallets"]):
            self._open_wallet(name, "loadwallet", name, True)
        else:
            # Positions: private keys, blank, passphrase, avoid reuse, descriptors, load on start-up.
            params = (is_watching, is_watching, "", False, True, True)
            self._open_wallet(name, "createwallet", name, *params)

    def load_wallet(self, name: str) -> None:
        """Load the wallet; raise WalletUnavailable when the node has none of this name: a new one lacks its keys."""
        if name not in self.call("listwallets"):
            self._open_wallet(name, "loadwallet", name, True)

    def _open_wallet(self, name: str, method: str, *params: object) -> None:
        try:
            self.call(method, *params)
        except rpc.RpcError as error:
            # Another worker was faster: the wallet is there, which is all that was wanted.
            if error.rpc_code == _ALREADY_LOADED or name in self.call("listwallets"):
                return
            if error.rpc_code == _WALLET_ERROR:
                raise rpc.WalletUnavailable(
                    method=error.method, rpc_code=error.rpc_code, reason=error.reason
                ) from error
            raise

    def new_scripts(self, kind: Literal["receive", "change"], count: int) -> list[bytes]:
        """Return the scripts of so many fresh P2WPKH addresses of this wallet."""
        # The type is always said: some nodes give legacy addresses by default.
        method, params = {
            "receive": ("getnewaddress", ("", "bech32")),
            "change": ("getrawchangeaddress", ("bech32",)),
        }[kind]
        given = self._call_each(method, [params] * count)
        found = self._call_each("getaddressinfo", [(where,) for where in given])
        if not all(each["ismine"] for each in found):
            raise rpc.NodeReplyInvalid("The node's wallet gave an address that is not its own.")
        return [bytes.fromhex(each["scriptPubKey"]) for each in found]

    def wallet_tx(self, txid: str) -> bytes | None:
        """Return a tx that this wallet has seen, None for any other; no index of all txs is needed."""
        try:
            return bytes.fromhex(self.call("gettransaction", txid, True)["hex"])
        except rpc.RpcError as error:
            if error.rpc_code == _NOT_FOUND:
                return None
            raise

    def owns(self, scripts: Sequence[bytes]) -> list[bool]:
        """Say of each script whether it is one of this wallet's own; one that has no address is not."""
        addresses = []
        for script in scripts:
            try:
                addresses.append(address.address_from_script(script, network.current()))
            except address.InvalidAddress:
                addresses.append("")
        asked = [(where,) for where in addresses if where]
        answers = iter(self._call_each("getaddressinfo", asked))
        return [bool(where) and bool(next(answers)["ismine"]) for where in addresses]

    def make_keys(self, count: int) -> None:
        """Let this wallet know the keys of the next ``count`` addresses of each kind; it forgets none."""
        self.call("keypoolrefill", count)

    def descriptors(self) -> list[str]:
        """Return the public descriptors of this wallet, each with its checksum."""
        return [entry["desc"] for entry in self.call("listdescriptors", False)["descriptors"]]

    def labels(self) -> list[str]:
        """Return all labels that addresses of this wallet have."""
        return list(self.call("listlabels"))

    def set_label(self, script_pubkey: bytes, label: str) -> None:
        """Give the address of one of this wallet's scripts a label, instead of the one it has."""
        self.call("setlabel", address.address_from_script(script_pubkey, network.current()), label)

    def sign_psbt(self, psbt: str) -> SignReply:
        """Sign a PSBT with this wallet (SIGHASH_ALL) and finalize it; nothing is sent.

        The caller checks what comes back with tx.check_signed.
        """
        signed = self.call("walletprocesspsbt", psbt, True, "ALL", False, True)
        if not signed["complete"]:
            return SignReply(signed["psbt"], False, None)
        final = signed if "hex" in signed else self.call("finalizepsbt", signed["psbt"], True)
        return SignReply(signed["psbt"], True, bytes.fromhex(final["hex"]))


def _output(btc: Any, script_hex: str) -> tx.Output:
    return tx.Output(amount.sat_from_node(btc), bytes.fromhex(script_hex))
