"""Builds, reads and checks txs as bytes: what a signer returns must be what it was given, plus signatures."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bitcoin.core import CTransaction, CTxIn, CTxInWitness, CTxWitness
from bitcoin.core.script import CScriptWitness
from bitcoin.core.serialize import SerializationError

from govpay import errors
from payments.onchain import fee, signature

# Signals replaceability (BIP125) and enables the lock time, as Bitcoin Core's wallet does.
SEQUENCE_REPLACEABLE = 0xFFFFFFFD
VERSION_2 = (2).to_bytes(4, "little")


SignatureRefused = signature.SignatureRefused


class MalformedTx(errors.GovPayError):
    """The bytes are not one tx in its only right serialization."""

    code = "malformed_tx"
    http_status = 422


class OutPoint(NamedTuple):
    """An output by the txid (display hex) that made it and its position there."""

    txid: str
    vout: int

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"


class Output(NamedTuple):
    """An amount in satoshis and the script that can spend it."""

    amount_sat: int
    script_pubkey: bytes


@dataclass(frozen=True, slots=True)
class Tx:
    """A tx as it was read: ids in display hex, inputs and outputs in order, sizes, and the bytes."""

    txid: str
    wtxid: str
    inputs: tuple[OutPoint, ...]
    outputs: tuple[Output, ...]
    weight: int
    vsize: int
    raw: bytes


def double_sha256(data: bytes) -> bytes:
    """Return the hash that Bitcoin gives txs and blocks, in internal byte order."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def parse(raw: bytes) -> Tx:
    """Read a tx; raise MalformedTx unless writing it again gives the same bytes."""
    found = read(raw)
    return describe(found, raw=raw, stripped=found.serialize(params={"include_witness": False}))


def stripped(raw: bytes) -> bytes:
    """Return a tx without its witness: what its signers were given. Raises MalformedTx."""
    return bytes(read(raw).serialize(params={"include_witness": False}))


def read(raw: bytes) -> CTransaction:
    """Return the library's tx; raise MalformedTx unless writing it again gives the same bytes."""
    try:
        found = CTransaction.deserialize(raw)
    except (SerializationError, ValueError, OverflowError) as error:
        raise MalformedTx("These bytes are not a tx.") from error
    if not found.vin or not found.vout or found.serialize() != raw:
        raise MalformedTx("These bytes are not a tx in its only right form.")
    return found


def describe(found: CTransaction, *, raw: bytes, stripped: bytes) -> Tx:
    """Return the library's tx as ours, given its bytes with and without witness."""
    weight = len(stripped) * (fee.WITNESS_SCALE - 1) + len(raw)
    return Tx(
        txid=double_sha256(stripped)[::-1].hex(),
        wtxid=double_sha256(raw)[::-1].hex(),
        inputs=tuple(OutPoint(i.prevout.hash[::-1].hex(), i.prevout.n) for i in found.vin),
        outputs=tuple(Output(o.nValue, bytes(o.scriptPubKey)) for o in found.vout),
        weight=weight,
        vsize=fee.vsize(weight),
        raw=raw,
    )


def build_unsigned(
    inputs: Sequence[OutPoint],
    outputs: Sequence[Output],
    *,
    sequence: int = SEQUENCE_REPLACEABLE,
    locktime: int = 0,
) -> bytes:
    """Return a version 2 tx without witness, inputs and outputs in the order given.

    Raises ValueError on an input given twice and where there is no input or no output.
    """
    if not inputs or not outputs:
        raise ValueError("A tx needs an input and an output.")
    if len(set(inputs)) != len(inputs):
        raise ValueError("A tx cannot spend one outpoint twice.")
    # Written here, not by the library: it takes most of the time of planning a payout of hundreds of outputs.
    spent = [
        bytes.fromhex(i.txid)[::-1] + i.vout.to_bytes(4, "little") + b"\0" + sequence.to_bytes(4, "little")
        for i in inputs
    ]
    paid = [
        o.amount_sat.to_bytes(8, "little") + compact_size(len(o.script_pubkey)) + o.script_pubkey
        for o in outputs
    ]
    vectors = [compact_size(len(spent)), *spent, compact_size(len(paid)), *paid]
    return b"".join([VERSION_2, *vectors, locktime.to_bytes(4, "little")])


@functools.lru_cache(maxsize=256)
def compact_size(count: int) -> bytes:
    """Return a count as it stands in front of a vector."""
    length = fee.compact_size_length(count)
    prefix = {1: b"", 3: b"\xfd", 5: b"\xfe"}[length]
    return prefix + count.to_bytes(max(length - 1, 1), "little")


def inputs_of(raw: bytes) -> list[OutPoint]:
    """Return the outpoints that a tx spends, signed or not; raise MalformedTx."""
    return [OutPoint(i.prevout.hash[::-1].hex(), i.prevout.n) for i in read(raw).vin]


def unsigned_form(raw: bytes) -> bytes:
    """Return the tx without its witness and with empty input scripts: what its signers agreed to.

    Raises MalformedTx.
    """
    return _without_signatures(read(raw))


def _without_signatures(found: CTransaction) -> bytes:
    inputs = [CTxIn(i.prevout, nSequence=i.nSequence) for i in found.vin]
    return bytes(CTransaction(inputs, found.vout, found.nLockTime, found.nVersion).serialize())


def with_witnesses(unsigned: bytes, stacks: Sequence[Sequence[bytes]]) -> bytes:
    """Return the tx with a witness on each input, in the order of its inputs."""
    found = read(unsigned)
    witness = CTxWitness([CTxInWitness(CScriptWitness(stack)) for stack in stacks])
    return bytes(CTransaction(found.vin, found.vout, found.nLockTime, found.nVersion, witness).serialize())


def witnesses_of(raw: bytes) -> list[list[bytes]]:
    """Return the witness of each input, empty where it has none; raise MalformedTx."""
    found = read(raw)
    stacks = [list(entry.scriptWitness.stack) for entry in found.wit.vtxinwit]
    return stacks or [[] for _ in found.vin]


def check_signed(raw: bytes, unsigned: bytes, prevouts: Sequence[Output]) -> Tx:
    """Return the tx if it is exactly ``unsigned`` with a valid signature over all of it on every input.

    Takes P2WPKH (BIP143, SIGHASH_ALL) and the key path of P2TR (BIP341, SIGHASH_DEFAULT or ALL). The prevouts
    are the spent outputs in input order, from our own records. Raises SignatureRefused.
    """
    try:
        signed = read(raw)
    except MalformedTx as error:
        raise SignatureRefused("The signer did not return a tx.", rule="malformed") from error
    if _without_signatures(signed) != unsigned:
        raise SignatureRefused("The signer returned another tx than it was given.", rule="altered")
    if len(prevouts) != len(signed.vin):
        raise SignatureRefused("There is not one spent output for each input.", rule="prevouts")
    for index in range(len(prevouts)):
        signature.check_input(signed, raw, index, prevouts)
    return describe(signed, raw=raw, stripped=unsigned)
