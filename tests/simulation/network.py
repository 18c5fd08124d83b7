"""An in-memory Bitcoin network: blocks, one memory pool, a signer that remembers all it ever signed."""

import hashlib
import json
from collections.abc import Iterable

from payments.onchain.send import SendOutcome
from payments.onchain.tx import OutPoint
from tests.invariants.checks import SignedTx


def encode(inputs: Iterable[OutPoint], outputs: Iterable[tuple[bytes, int]]) -> bytes:
    """Return a tx as the simulation's bytes; equal contents give equal bytes, so signing twice is harmless."""
    content = {
        "inputs": [[outpoint.txid, outpoint.vout] for outpoint in inputs],
        "outputs": [[script.hex(), amount_sat] for script, amount_sat in outputs],
    }
    return json.dumps(content).encode()


def decode(raw: bytes) -> SignedTx:
    """Read what ``encode`` wrote."""
    content = json.loads(raw)
    return SignedTx(
        txid=hashlib.sha256(raw).hexdigest(),
        inputs=frozenset(OutPoint(txid, vout) for txid, vout in content["inputs"]),
        outputs=tuple((bytes.fromhex(script), amount) for script, amount in content["outputs"]),
    )


class Network:
    """The world outside: it accepts, forgets, mines and reorganizes, and never asks the engine."""

    def __init__(self, coins: Iterable[tuple[bytes, int]]) -> None:
        genesis = SignedTx("genesis", frozenset(), tuple(coins))
        self.blocks: list[list[SignedTx]] = [[genesis]]
        self.pool: dict[str, SignedTx] = {}
        self.signed: dict[str, SignedTx] = {}
        self.is_down = False
        self.swallows_replies = False
        self.offers = 0

    def unspent(self, *, with_pool: bool) -> dict[OutPoint, tuple[bytes, int]]:
        """Return the outputs that nothing spends."""
        txs = [tx for block in self.blocks for tx in block]
        if with_pool:
            txs += self.pool.values()
        spent = {outpoint for tx in txs for outpoint in tx.inputs}
        return {
            OutPoint(tx.txid, vout): output
            for tx in txs
            for vout, output in enumerate(tx.outputs)
            if (tx.txid, vout) not in spent
        }

    def sign(self, unsigned: bytes) -> bytes:
        """Sign deterministically, and remember it for the checker."""
        tx = decode(unsigned)
        self.signed[tx.txid] = tx
        return unsigned

    def send(self, raw: bytes) -> SendOutcome:
        """Take a tx as a node would; a swallowed reply looks like a timeout although the tx was taken."""
        self.offers += 1
        if self.is_down:
            return SendOutcome.UNKNOWN
        outcome = self._accept(decode(raw))
        return SendOutcome.UNKNOWN if self.swallows_replies else outcome

    def _accept(self, tx: SignedTx) -> SendOutcome:
        if tx.txid in self.pool:
            return SendOutcome.ACCEPTED
        if self.height_of(tx.txid) is not None:
            has_unspent = any(outpoint.txid == tx.txid for outpoint in self.unspent(with_pool=False))
            return SendOutcome.KNOWN if has_unspent else SendOutcome.MISSING_INPUTS
        if any(tx.inputs & other.inputs for other in self.pool.values()):
            return SendOutcome.CONFLICT
        if not tx.inputs <= self.unspent(with_pool=True).keys():
            return SendOutcome.MISSING_INPUTS
        self.pool[tx.txid] = tx
        return SendOutcome.ACCEPTED

    def spender(self, outpoint: OutPoint, *, in_pool: bool) -> str | None:
        """Return who spends the outpoint."""
        txs = self.pool.values() if in_pool else [tx for block in self.blocks for tx in block]
        return next((tx.txid for tx in txs if outpoint in tx.inputs), None)

    def height_of(self, txid: str) -> int | None:
        """Return the height of the block that holds the tx."""
        for height, block in enumerate(self.blocks):
            if any(tx.txid == txid for tx in block):
                return height
        return None

    def mine(self) -> None:
        """Put the whole memory pool into a block."""
        self.blocks.append(list(self.pool.values()))
        self.pool.clear()

    def evict(self) -> None:
        """Forget the memory pool, as a node does that restarts without its file."""
        self.pool.clear()

    def reorganize(self, depth: int, *, forgets: bool) -> None:
        """Replace the last blocks by one more empty ones; their txs return to the memory pool, or do not."""
        depth = min(depth, len(self.blocks) - 1)
        gone = [tx for block in self.blocks[len(self.blocks) - depth :] for tx in block]
        later = list(self.pool.values())
        del self.blocks[len(self.blocks) - depth :]
        self.blocks += [[] for _ in range(depth + 1)]
        self.pool.clear()
        for tx in [] if forgets else gone + later:
            self._accept(tx)

    def live(self) -> list[SignedTx]:
        """Return everything in blocks and memory pool."""
        return [tx for block in self.blocks for tx in block] + list(self.pool.values())
