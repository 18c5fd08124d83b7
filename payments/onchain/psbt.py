"""Wraps unsigned txs into PSBTs (BIP174) with all that a signer elsewhere needs, and takes them out again."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import wallycore

from govpay import errors
from payments.onchain import descriptor as descriptors
from payments.onchain import tx

_SIGHASH_ALL = 1


class MalformedPsbt(errors.GovPayError):
    """The text is not a PSBT with an unsigned tx inside."""

    code = "malformed_psbt"
    http_status = 422


class Place(NamedTuple):
    """Where a script is in a wallet's descriptor: its branch, and its index there."""

    branch: int
    child: int


def from_unsigned(unsigned: bytes, prevouts: Sequence[tx.Output]) -> str:
    """Return the base64 PSBT of an unsigned tx, with the spent output of each input (its witness utxo).

    Raises tx.MalformedTx, and ValueError unless there is one prevout for each input.
    """
    return _text(_bare(unsigned, prevouts))


def build(
    unsigned: bytes,
    prevouts: Sequence[tx.Output],
    *,
    descriptor: descriptors.Descriptor,
    inputs: Sequence[Place],
    change: Mapping[int, Place],
    previous: Mapping[int, bytes],
) -> str:
    """Return the base64 PSBT that signers of a descriptor sign: with paths to their keys, scripts and SIGHASH_ALL.

    ``inputs`` are the places of the spent outputs in order, ``change`` those of our own outputs by position, so that
    signers recognize them. ``previous`` are the txs behind inputs, by position, where they are known: segwit v0
    signatures commit to amounts, yet some devices insist on seeing the whole tx that an amount comes from.
    """
    psbt = _bare(unsigned, prevouts)
    for position, place in enumerate(inputs):
        script = descriptor.witness_script(*place)
        if script is not None:
            wallycore.psbt_set_input_witness_script(psbt, position, script)
        for public_key, fingerprint, path in _keypaths(descriptor, place):
            wallycore.psbt_add_input_keypath(psbt, position, public_key, fingerprint, path)
        wallycore.psbt_set_input_sighash(psbt, position, _SIGHASH_ALL)
        if position in previous:
            parsed = wallycore.tx_from_bytes(previous[position], wallycore.WALLY_TX_FLAG_USE_WITNESS)
            wallycore.psbt_set_input_utxo(psbt, position, parsed)
    for position, place in change.items():
        script = descriptor.witness_script(*place)
        if script is not None:
            wallycore.psbt_set_output_witness_script(psbt, position, script)
        for public_key, fingerprint, path in _keypaths(descriptor, place):
            wallycore.psbt_add_output_keypath(psbt, position, public_key, fingerprint, path)
    return _text(psbt)


def with_signatures(
    unsigned: bytes, prevouts: Sequence[tx.Output], signatures: Sequence[tuple[bytes, bytes]]
) -> str:
    """Return the base64 PSBT with one signer's (public key, signature) on each input, and nothing else of theirs."""
    psbt = _bare(unsigned, prevouts)
    for position, (public_key, signature) in enumerate(signatures):
        wallycore.psbt_add_input_signature(psbt, position, public_key, signature)
    return _text(psbt)


def parse(data: bytes) -> Any:
    """Return the library's PSBT, version 2 (BIP370) turned into version 0; raise MalformedPsbt."""
    try:
        parsed = wallycore.psbt_from_bytes(data, wallycore.WALLY_PSBT_PARSE_FLAG_STRICT)
        if wallycore.psbt_is_elements(parsed):
            raise MalformedPsbt("This is a PSBT of another chain's kind.")
        if wallycore.psbt_get_version(parsed) != wallycore.WALLY_PSBT_VERSION_0:
            wallycore.psbt_set_version(parsed, 0, wallycore.WALLY_PSBT_VERSION_0)
    except ValueError as error:
        raise MalformedPsbt(
            "This is not a PSBT with an unsigned tx, or something in it is not in its right form."
        ) from error
    return parsed


def tx_inside(parsed: Any) -> bytes:
    """Return the unsigned tx inside a parsed PSBT."""
    return bytes(wallycore.tx_to_bytes(wallycore.psbt_get_global_tx(parsed), 0))


def unsigned_tx(psbt: str) -> bytes:
    """Return the unsigned tx inside a base64 PSBT; raise MalformedPsbt."""
    # The C decoder stops reading at a NUL and takes no other characters than these.
    if not psbt.isascii() or "\0" in psbt:
        raise MalformedPsbt("This is not a PSBT.")
    try:
        parsed = wallycore.psbt_from_base64(psbt, wallycore.WALLY_PSBT_PARSE_FLAG_STRICT)
        return tx_inside(parsed)
    except ValueError as error:
        raise MalformedPsbt("This is not a PSBT with an unsigned tx.") from error


def _bare(unsigned: bytes, prevouts: Sequence[tx.Output]) -> Any:
    try:
        parsed = wallycore.tx_from_bytes(unsigned, 0)
        psbt = wallycore.psbt_from_tx(parsed, wallycore.WALLY_PSBT_VERSION_0, 0)
    except ValueError as error:
        raise tx.MalformedTx("A PSBT is made of a tx without signatures.") from error
    if wallycore.tx_get_num_inputs(parsed) != len(prevouts):
        raise ValueError("A PSBT needs one spent output for each input.")
    # The library drops signatures without a word; what it did not keep was not an unsigned tx.
    if tx_inside(psbt) != unsigned:
        raise tx.MalformedTx("A PSBT is made of a tx without signatures.")
    for position, prevout in enumerate(prevouts):
        output = wallycore.tx_output_init(prevout.amount_sat, prevout.script_pubkey)
        wallycore.psbt_set_input_witness_utxo(psbt, position, output)
    # The library takes paths and signatures for a PSBT that it has read, and refuses them for one that it made.
    return wallycore.psbt_from_bytes(wallycore.psbt_to_bytes(psbt, 0), wallycore.WALLY_PSBT_PARSE_FLAG_STRICT)


def _keypaths(descriptor: descriptors.Descriptor, place: Place) -> list[tuple[bytes, bytes, list[int]]]:
    return [
        (key.public_key(*place), bytes.fromhex(key.fingerprint), key.full_path(*place))
        for key in descriptor.keys
    ]


def _text(psbt: Any) -> str:
    return str(wallycore.psbt_to_base64(psbt, 0))
