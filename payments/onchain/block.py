"""Reads raw blocks and believes nothing that their header does not commit to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import BytesIO

from bitcoin.core import CBlockHeader, CTransaction
from bitcoin.core.serialize import SerializationError, VarIntSerializer

from govpay import errors
from payments.onchain import tx

HEADER_BYTES = 80
# What stands behind the version of a tx that has a witness (BIP144).
MARKER_AND_FLAG = b"\0\1"
VERSION_BYTES = LOCKTIME_BYTES = 4


class MalformedBlock(errors.GovPayError):
    """The bytes are not a block, not the block asked for, or its txs are not those its header commits to."""

    code = "malformed_block"
    http_status = 502
    is_transient = True


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it was read: its 80 bytes of header, hashes in display hex, time in Unix seconds, txs in order."""

    header: bytes
    hash: str
    prev_hash: str
    time: int
    txs: tuple[tx.Tx, ...]


def parse(raw: bytes, *, block_hash: str | None = None) -> Block:
    """Read a block and check its txids against its merkle root, and its hash against the one asked for.

    Witness data is not covered by the merkle root of txids and is not checked. Raises MalformedBlock.
    """
    found_hash = tx.double_sha256(raw[:HEADER_BYTES])[::-1].hex()
    if block_hash is not None and block_hash != found_hash:
        raise MalformedBlock("This is another block than was asked for.", block_hash=found_hash)
    try:
        header, txs = _read(raw)
    except (SerializationError, ValueError, OverflowError) as error:
        raise MalformedBlock("These bytes are not a block.", block_hash=found_hash) from error
    _check_merkle_root([bytes.fromhex(t.txid)[::-1] for t in txs], header.hashMerkleRoot, found_hash)
    return Block(
        header=raw[:HEADER_BYTES],
        hash=found_hash,
        prev_hash=header.hashPrevBlock[::-1].hex(),
        time=header.nTime,
        txs=txs,
    )


def branches(txids: Sequence[str], wanted: Collection[str]) -> dict[str, list[tuple[bool, bytes]]]:
    """Return the Merkle branch of each wanted tx, from its txid up: each other hash, and whether it is left.

    ``txids`` are all of the block, in order, in display hex. Raises ValueError when one is not among them.
    """
    level = [bytes.fromhex(each)[::-1] for each in txids]
    places = {txid: txids.index(txid) for txid in wanted}
    found: dict[str, list[tuple[bool, bytes]]] = {txid: [] for txid in wanted}
    while len(level) > 1:
        if len(level) % 2:
            level = [*level, level[-1]]
        for txid, place in places.items():
            found[txid].append((bool(place & 1), level[place ^ 1]))
            places[txid] = place >> 1
        level = [tx.double_sha256(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return found


def _read(raw: bytes) -> tuple[CBlockHeader, tuple[tx.Tx, ...]]:
    """Read header and txs; each tx keeps the bytes it has in the block. Raises SerializationError or ValueError.

    The library's own block builds two Merkle trees of txs that it writes anew, which takes longer than all the rest.
    """
    stream = BytesIO(raw)
    header = CBlockHeader.stream_deserialize(stream)
    count = VarIntSerializer.stream_deserialize(stream)
    txs = []
    for _ in range(count):
        begin = stream.tell()
        found = CTransaction.stream_deserialize(stream)
        txs.append(_describe(found, raw[begin : stream.tell()]))
    if stream.tell() != len(raw):
        raise ValueError("there are bytes behind the last tx")
    return header, tuple(txs)


def _describe(found: CTransaction, raw: bytes) -> tx.Tx:
    return tx.describe(
        [tx.OutPoint(i.prevout.hash[::-1].hex(), i.prevout.n) for i in found.vin],
        [tx.Output(o.nValue, bytes(o.scriptPubKey)) for o in found.vout],
        raw=raw,
        stripped=_stripped(found, raw),
    )


def _stripped(found: CTransaction, raw: bytes) -> bytes:
    """Return the bytes of a tx without marker, flag and witness, which its txid is the hash of."""
    inside = raw[VERSION_BYTES:-LOCKTIME_BYTES]
    if inside.startswith(MARKER_AND_FLAG):
        inside = inside[len(MARKER_AND_FLAG) : len(inside) - len(found.wit.serialize())]
    return raw[:VERSION_BYTES] + inside + raw[-LOCKTIME_BYTES:]


def _check_merkle_root(txids: list[bytes], root: bytes, block_hash: str) -> None:
    # A list with its tail repeated has the same root (CVE-2012-2459), so a repeated txid is refused.
    if not txids or len(set(txids)) != len(txids):
        raise MalformedBlock("The block has no tx, or one twice.", block_hash=block_hash)
    level = txids
    while len(level) > 1:
        if len(level) % 2:
            level = [*level, level[-1]]
        level = [tx.double_sha256(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    if level[0] != root:
        raise MalformedBlock("The block's txs are not those its header commits to.", block_hash=block_hash)
