"""Builds, reads and checks txs as bytes: what a signer returns must be what it was given, plus signatures."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import wallycore

from govpay import errors
from payments.onchain import fee, signature

# Signals replaceability (BIP125) and enables the lock time, as Bitcoin Core's wallet does.
SEQUENCE_REPLACEABLE = 0xFFFFFFFD
VERSION_2 = (2).to_bytes(4, "little")

_WITH_WITNESS, _WITHOUT_WITNESS = wallycore.WALLY_TX_FLAG_USE_WITNESS, 0

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
    outputs = [
        Output(
            wallycore.tx_get_output_satoshi(found, vout), bytes(wallycore.tx_get_output_script(found, vout))
        )
        for vout in range(wallycore.tx_get_num_outputs(found))
    ]
    return describe(_inputs(found), outputs, raw=raw, stripped=_bytes(found, _WITHOUT_WITNESS))


def stripped(raw: bytes) -> bytes:
    """Return a tx without its witness: what its signers were given. Raises MalformedTx."""
    return _bytes(read(raw), _WITHOUT_WITNESS)


def txid_of(raw: bytes) -> str:
    """Return a tx's id, the hash of what its signers were given. Raises MalformedTx."""
    return double_sha256(stripped(raw))[::-1].hex()


def read(raw: bytes) -> Any:
    """Return the library's tx; raise MalformedTx unless writing it again gives the same bytes."""
    try:
        found = wallycore.tx_from_bytes(raw, _WITH_WITNESS)
        is_whole = _bytes(found, _WITH_WITNESS) == raw
    except (ValueError, MemoryError) as error:
        raise MalformedTx("These bytes are not a tx.") from error
    if not is_whole:
        raise MalformedTx("These bytes are not a tx in its only right form.")
    return found


def describe(inputs: Sequence[OutPoint], outputs: Sequence[Output], *, raw: bytes, stripped: bytes) -> Tx:
    """Return a tx that was read, given its bytes with and without witness."""
    weight = len(stripped) * (fee.WITNESS_SCALE - 1) + len(raw)
    return Tx(
        txid=double_sha256(stripped)[::-1].hex(),
        wtxid=double_sha256(raw)[::-1].hex(),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
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
    # Written here: a call of the library for each of hundreds of outputs would take most of the time of planning.
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
def null_data(data: bytes) -> bytes:
    """Return the script of an output that nobody can spend and that holds up to 75 bytes: OP_RETURN and a push."""
    return b"\x6a" + bytes([len(data)]) + data


def compact_size(count: int) -> bytes:
    """Return a count as it stands in front of a vector."""
    length = fee.compact_size_length(count)
    prefix = {1: b"", 3: b"\xfd", 5: b"\xfe"}[length]
    return prefix + count.to_bytes(max(length - 1, 1), "little")


def inputs_of(raw: bytes) -> list[OutPoint]:
    """Return the outpoints that a tx spends, signed or not; raise MalformedTx."""
    return _inputs(read(raw))


def input_scripts_of(raw: bytes) -> list[bytes]:
    """Return the script of each input, which native segwit leaves empty; raise MalformedTx."""
    found = read(raw)
    return [
        bytes(wallycore.tx_get_input_script(found, index))
        for index in range(wallycore.tx_get_num_inputs(found))
    ]


def unsigned_form(raw: bytes) -> bytes:
    """Return the tx without its witness and with empty input scripts: what its signers agreed to.

    Raises MalformedTx.
    """
    found = read(raw)
    for index in range(wallycore.tx_get_num_inputs(found)):
        wallycore.tx_set_input_script(found, index, None)
    return _bytes(found, _WITHOUT_WITNESS)


def with_witnesses(unsigned: bytes, stacks: Sequence[Sequence[bytes]]) -> bytes:
    """Return the tx with a witness on each input, in the order of its inputs."""
    found = read(unsigned)
    for index, stack in enumerate(stacks):
        witness = wallycore.tx_witness_stack_init(len(stack))
        for item in stack:
            wallycore.tx_witness_stack_add(witness, item)
        wallycore.tx_set_input_witness(found, index, witness)
    return _bytes(found, _WITH_WITNESS)


def witnesses_of(raw: bytes) -> list[list[bytes]]:
    """Return the witness of each input, empty where it has none; raise MalformedTx."""
    found = read(raw)
    return [signature.witness_of(found, index) for index in range(wallycore.tx_get_num_inputs(found))]


def check_signed(raw: bytes, unsigned: bytes, prevouts: Sequence[Output]) -> None:
    """Refuse the tx unless it is exactly ``unsigned`` with a valid signature over all of it on every input.

    Takes P2WPKH (BIP143, SIGHASH_ALL) and the key path of P2TR (BIP341, SIGHASH_DEFAULT or ALL). The prevouts
    are the spent outputs in input order, from our own records. Raises SignatureRefused.
    """
    try:
        signed = read(raw)
    except MalformedTx as error:
        raise SignatureRefused("The signer did not return a tx.", rule="malformed") from error
    if unsigned_form(raw) != unsigned:
        raise SignatureRefused("The signer returned another tx than it was given.", rule="altered")
    if len(prevouts) != wallycore.tx_get_num_inputs(signed):
        raise SignatureRefused("There is not one spent output for each input.", rule="prevouts")
    for index in range(len(prevouts)):
        signature.check_input(signed, index, prevouts)


def _inputs(found: Any) -> list[OutPoint]:
    return [
        OutPoint(
            wallycore.tx_get_input_txhash(found, index)[::-1].hex(),
            wallycore.tx_get_input_index(found, index),
        )
        for index in range(wallycore.tx_get_num_inputs(found))
    ]


def _bytes(found: Any, flags: int) -> bytes:
    return bytes(wallycore.tx_to_bytes(found, flags))
