"""Asks the node about its chain: tip, blocks and unspent outputs, one typed verb each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from payments.onchain import amount, fee, rpc, tx
from payments.onchain.endpoint import Endpoint

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


class UtxoScan(NamedTuple):
    """All unspent outputs to some scripts at one block: outpoint, output, height it was mined at."""

    block_hash: str
    height: int
    unspents: list[tuple[tx.OutPoint, tx.Output, int]]


class Chain(Endpoint):
    """What a node says of its chain."""

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
            if error.rpc_code == rpc.INVALID_PARAMETER:
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

    def raw_header(self, block_hash: str) -> bytes:
        """Return a block's header, 80 bytes; raise BlockUnknown."""
        return bytes.fromhex(self._block("getblockheader", block_hash, False))

    def raw_block(self, block_hash: str) -> bytes:
        """Return a block's bytes; raise BlockUnknown."""
        return bytes.fromhex(self._block("getblock", block_hash, 0))

    def _block(self, method: str, block_hash: str, verbosity: object) -> Any:
        try:
            return self.call(method, block_hash, verbosity)
        except rpc.RpcError as error:
            # -5 is a hash it never saw; -1 a block whose bytes it pruned or has yet to download.
            if error.rpc_code not in (rpc.NOT_FOUND, -1):
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

    def derive_addresses(self, descriptor: str, first: int | None, last: int | None) -> list[str]:
        """Return the addresses of a descriptor with its checksum, from one index to another; without them its one.

        Raises RpcError where the node takes no such descriptor, which must hold no private key: it is not asked with one.
        """
        span = [] if first is None else [[first, last]]
        found: list[str] = self.call("deriveaddresses", descriptor, *span)
        return found

    def scan_utxos(self, scripts: Sequence[bytes]) -> UtxoScan:
        """Return what is unspent to the scripts, all at one block, from the node's own set.

        Raises NodeBusy while another scan runs.
        """
        descriptors = [f"raw({script_pubkey.hex()})" for script_pubkey in scripts]
        try:
            found = self.call("scantxoutset", "start", descriptors)
        except rpc.RpcError as error:
            if error.rpc_code == rpc.INVALID_PARAMETER and "in progress" in error.reason:
                raise rpc.NodeBusy("The node is scanning for somebody else.") from error
            raise
        if not found["success"]:
            raise rpc.NodeBusy("The node broke the scan off.")
        unspents = [
            (tx.OutPoint(u["txid"], u["vout"]), _output(u["amount"], u["scriptPubKey"]), int(u["height"]))
            for u in found["unspents"]
        ]
        return UtxoScan(found["bestblock"], found["height"], unspents)


def _output(btc: Any, script_hex: str) -> tx.Output:
    return tx.Output(amount.sat_from_node(btc), bytes.fromhex(script_hex))
