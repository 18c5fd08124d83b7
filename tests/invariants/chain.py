"""Reads blocks and memory pool of a node with a parser of its own, over a connection of its own."""

import base64
import hashlib
import json
import urllib.request
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.invariants.checks import SignedTx


class Reader:
    """Takes numbers from raw bytes, in Bitcoin's serialization."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int) -> int:
        """Return a little-endian number."""
        return int.from_bytes(self.take(size), "little")

    def count(self) -> int:
        """Return a CompactSize."""
        first = self.number(1)
        return first if first < 253 else self.number({253: 2, 254: 4, 255: 8}[first])

    def tx(self) -> SignedTx:
        """Return the next tx, witness or not."""
        start = self.at
        version = self.take(4)
        has_witness = self.data[self.at] == 0
        if has_witness:
            self.take(2)
        begin = self.at
        inputs = []
        for _ in range(self.count()):
            inputs.append((self.take(32)[::-1].hex(), self.number(4)))
            self.take(self.count())
            self.take(4)
        outputs = []
        for _ in range(self.count()):
            amount_sat = self.number(8)
            outputs.append((self.take(self.count()), amount_sat))
        body = self.data[begin : self.at]
        if has_witness:
            for _ in inputs:
                for _ in range(self.count()):
                    self.take(self.count())
        bare = version + body + self.take(4)
        txid = hashlib.sha256(hashlib.sha256(bare).digest()).digest()[::-1].hex()
        raw = self.data[start : self.at]
        vsize_vb = -(-(3 * len(bare) + len(raw)) // 4)
        return SignedTx(txid, frozenset(inputs), tuple(outputs), raw, vsize_vb)


class Block(NamedTuple):
    """The hash of the block before it, and its txs."""

    parent: str
    txs: list[SignedTx]


# Of this process: tests judge by the same chain again and again, and it grows all the time.
_read: dict[str, Block] = {}
NO_BLOCK = "00" * 32


def parse_tx(raw: bytes) -> SignedTx:
    """Read one tx."""
    return Reader(raw).tx()


class Chain:
    """A node, asked by nothing but urllib."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = f"http://{parts.hostname}:{parts.port}/"
        login = f"{parts.username}:{parts.password}".encode()
        self.headers = {"Authorization": "Basic " + base64.b64encode(login).decode()}

    def ask(self, method: str, *params: Any) -> Any:
        """Call the node; raise on any error."""
        body = json.dumps({"id": 0, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, self.headers)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["result"]

    def blocks(self) -> list[tuple[str, list[SignedTx]]]:
        """Return every block of the best chain but the first, from the oldest on, with its txs."""
        found = []
        block_hash = self.ask("getbestblockhash")
        while (block := self._block(block_hash)).parent != NO_BLOCK:
            found.append((block_hash, block.txs))
            block_hash = block.parent
        return found[::-1]

    def _block(self, block_hash: str) -> Block:
        """Return a block, which its hash binds to what it was when it was read before."""
        if block_hash not in _read:
            reader = Reader(bytes.fromhex(self.ask("getblock", block_hash, 0)))
            header = reader.take(80)
            _read[block_hash] = Block(header[4:36][::-1].hex(), [reader.tx() for _ in range(reader.count())])
        return _read[block_hash]

    def pool(self) -> list[SignedTx]:
        """Return the memory pool's txs."""
        return [
            parse_tx(bytes.fromhex(self.ask("getrawtransaction", txid))) for txid in self.ask("getrawmempool")
        ]

    def live(self) -> list[SignedTx]:
        """Return everything in blocks and memory pool."""
        return [tx for _, txs in self.blocks() for tx in txs] + self.pool()
