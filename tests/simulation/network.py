"""An in-memory Bitcoin network: blocks, one memory pool, a signer that remembers all it ever signed."""

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache

from payments.onchain.send import SendOutcome
from payments.onchain.tx import OutPoint
from tests.invariants.checks import SignedTx

# A script that no node relays begins with it.
ODD = b"\x51"


def encode(inputs: Iterable[OutPoint], outputs: Iterable[tuple[bytes, int]]) -> bytes:
    """Return a tx as the simulation's bytes; equal contents give equal bytes, so signing twice is harmless."""
    content = {
        "inputs": [[outpoint.txid, outpoint.vout] for outpoint in inputs],
        "outputs": [[script.hex(), amount_sat] for script, amount_sat in outputs],
    }
    return json.dumps(content).encode()


@lru_cache(maxsize=100_000)
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
        self.known: dict[OutPoint, tuple[bytes, int]] = {}
        self.learn(genesis)
        self.stolen: set[str] = set()
        self.least_fee_sat = 0
        self.refuses_odd = True
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
        self.learn(tx)
        return unsigned

    def learn(self, tx: SignedTx) -> None:
        """Remember outputs, so that the fee of whatever spends them is known."""
        self.known |= {OutPoint(tx.txid, vout): output for vout, output in enumerate(tx.outputs)}

    def fee_sat(self, tx: SignedTx) -> int:
        """Return what a tx costs."""
        return sum(self.known[coin][1] for coin in tx.inputs) - sum(sat for _, sat in tx.outputs)

    def steal(self, coin: OutPoint, script: bytes) -> SendOutcome:
        """Spend one of our outpoints as a stranger with the same keys does (F26)."""
        tx = decode(encode([coin], [(script, self.known[coin][1] - 900)]))
        self.stolen.add(tx.txid)
        self.learn(tx)
        return self.accept(tx)

    def send(self, raw: bytes) -> SendOutcome:
        """Take a tx as a node would; a swallowed reply looks like a timeout although the tx was taken."""
        self.offers += 1
        if self.is_down:
            return SendOutcome.UNKNOWN
        outcome = self.accept(decode(raw))
        return SendOutcome.UNKNOWN if self.swallows_replies else outcome

    def accept(self, tx: SignedTx) -> SendOutcome:
        """Take a tx into the memory pool by the rules of BIP125, whoever sent it."""
        if tx.txid in self.pool:
            return SendOutcome.ACCEPTED
        if self.height_of(tx.txid) is not None:
            has_unspent = any(outpoint.txid == tx.txid for outpoint in self.unspent(with_pool=False))
            return SendOutcome.KNOWN if has_unspent else SendOutcome.MISSING_INPUTS
        if self.refuses(script for script, _ in tx.outputs):
            return SendOutcome.REJECTED
        replaced = self.with_descendants(other for other in self.pool.values() if tx.inputs & other.inputs)
        if not tx.inputs <= self.unspent(with_pool=True).keys() | {i for r in replaced for i in r.inputs}:
            return SendOutcome.MISSING_INPUTS
        if any(coin.txid == other.txid for coin in tx.inputs for other in replaced):  # type: ignore[attr-defined]
            return SendOutcome.CONFLICT
        if self.fee_sat(tx) < self.least_fee_sat:
            return SendOutcome.FEE_TOO_LOW
        if replaced and self.fee_sat(tx) <= sum(self.fee_sat(other) for other in replaced):
            return SendOutcome.CONFLICT
        for other in replaced:
            del self.pool[other.txid]
        self.pool[tx.txid] = tx
        return SendOutcome.ACCEPTED

    def refuses(self, scripts: Iterable[bytes]) -> bool:
        """Tell whether nodes relay no tx that pays these (F42); a miner may take it all the same."""
        return self.refuses_odd and any(script.startswith(ODD) for script in scripts)

    def with_descendants(self, txs: Iterable[SignedTx]) -> list[SignedTx]:
        """Return txs of the memory pool with all that hangs on them."""
        found = list(txs)
        for tx in found:
            # Grows while it is walked: the children's children come, too.
            children = (c for c in self.pool.values() if any(coin[0] == tx.txid for coin in c.inputs))
            found += [child for child in children if child not in found]
        return found

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

    def mine_signed(self, tx: SignedTx) -> None:
        """Mine a block of one tx that was signed once, whether or not a memory pool still knows it (F27)."""
        if self.height_of(tx.txid) is not None or not tx.inputs <= self.unspent(with_pool=False).keys():
            return
        for other in self.with_descendants(o for o in self.pool.values() if o.inputs & tx.inputs):
            self.pool.pop(other.txid, None)
        self.blocks.append([tx])

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
            self.accept(tx)

    def live(self) -> list[SignedTx]:
        """Return everything in blocks and memory pool."""
        return [tx for block in self.blocks for tx in block] + list(self.pool.values())
