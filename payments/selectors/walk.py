"""A walk through raw blocks that follows a wallet's coins itself, whatever the follower wrote down."""

from collections.abc import Iterator

from ledger.reconciliation.evidence import (
    ChainBlock,
    ChainFacts,
    ChainForked,
    ChainOutput,
    ChainSpend,
    ChainTx,
    Start,
)
from payments.models import Wallet, WalletScript
from payments.onchain import block as blocks
from payments.onchain import node, tx

FETCH = 5_000


class BlockWalk:
    """Reads raw blocks by hash and follows the wallet's coins itself, whatever the follower wrote down."""

    def __init__(self, client: node.Node, wallet: Wallet, start: Start | None) -> None:
        self.client = client
        self.wallet = wallet
        self.unspent: dict[tx.OutPoint, int] = {}
        self.height: int | None = None
        self.block_hash = ""
        if start is not None:
            self.unspent = {
                tx.OutPoint(*outpoint): amount_sat for outpoint, amount_sat in start.coins.items()
            }
            self.height, self.block_hash = start.height, start.block_hash

    def read_to(self, chain: ChainFacts) -> Iterator[ChainBlock]:
        """Yield the blocks up to and with the chain's, with the wallet's txs; raise ChainForked and NodeError."""
        if self.wallet.birth_height is None:
            return
        ours = scripts(self.wallet)
        start = self.wallet.birth_height if self.height is None else self.height + 1
        for height in range(start, chain.height + 1):
            block_hash = self.client.block_hash(height)
            if block_hash is None:
                raise ChainForked(f"The node has no block at height {height} any more.")
            block = blocks.parse(self.client.raw_block(block_hash), block_hash=block_hash)
            if self.block_hash and block.prev_hash != self.block_hash:
                raise ChainForked(f"Block {block_hash} does not follow block {self.block_hash}.")
            found = [self._describe(t, ours) for t in block.txs]
            self.height, self.block_hash = height, block_hash
            txs = tuple(chain_tx for chain_tx in found if chain_tx is not None)
            yield ChainBlock(height, block_hash, block.time, txs)
        if self.block_hash and self.block_hash != chain.block_hash:
            raise ChainForked(f"Block {chain.block_hash} is not on the node's chain any more.")

    def _describe(self, found: tx.Tx, ours: set[bytes]) -> ChainTx | None:
        """Return what the tx did to the wallet, None for a stranger's, and follow the coins."""
        spends = tuple(
            ChainSpend(outpoint.txid, outpoint.vout, self.unspent.pop(outpoint))
            for outpoint in found.inputs
            if outpoint in self.unspent
        )
        received = [vout for vout, output in enumerate(found.outputs) if output.script_pubkey in ours]
        if not spends and not received:
            return None
        for vout in received:
            self.unspent[tx.OutPoint(found.txid, vout)] = found.outputs[vout].amount_sat
        outputs = tuple(
            ChainOutput(vout, output.script_pubkey, output.amount_sat, output.script_pubkey in ours)
            for vout, output in enumerate(found.outputs)
        )
        return ChainTx(found.txid, len(found.inputs), outputs, spends)


def scripts(wallet: Wallet) -> set[bytes]:
    """Return the scripts that belong to the wallet."""
    rows = WalletScript.objects.filter(wallet=wallet).values_list("script_pubkey", flat=True)
    return {bytes(script) for script in rows.iterator(chunk_size=FETCH)}
