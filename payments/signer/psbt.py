"""Reads PSBTs (BIP174) into plain facts, and puts signatures into them."""

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import wallycore

from payments.signer.descriptor import CHANGE, Descriptor, Key
from payments.signer.refusal import Refusal, Unreadable

SIGHASH_ALL = 1


@dataclass(frozen=True, slots=True)
class Derivation:
    """What a PSBT says of a key behind a script: how it is derived from which master key."""

    fingerprint: bytes
    path: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """An input; ``amount_sat`` and ``script_pubkey`` are what the PSBT says of the output that it spends.

    ``is_proved``: the PSBT has the whole previous tx, its txid is right, and it says the same.
    """

    outpoint: str
    sequence: int
    amount_sat: int | None
    script_pubkey: bytes
    witness_script: bytes
    sighash: int
    derivations: tuple[Derivation, ...]
    signature_count: int
    is_final: bool
    is_proved: bool


@dataclass(frozen=True, slots=True)
class Output:
    """An output, and what the PSBT says of the keys behind it."""

    amount_sat: int
    script_pubkey: bytes
    derivations: tuple[Derivation, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a PSBT holds, decoded; nothing of it is believed yet. ``weight`` is that of the tx with empty witnesses."""

    txid: str
    version: int
    locktime: int
    weight: int
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]


def decode(text: str) -> Facts:
    """Return what a base64 PSBT of version 0 holds; raise Unreadable."""
    try:
        parsed = _parse(text)
        # The C reader stops at the end of the last map, whatever follows it.
        if wallycore.psbt_get_length(parsed, 0) != len(base64.b64decode(text)):
            raise ValueError("more than a PSBT")
        tx = wallycore.psbt_get_global_tx(parsed)
        raw = bytes(wallycore.tx_to_bytes(tx, 0))
        return Facts(
            txid=bytes(wallycore.tx_get_txid(tx))[::-1].hex(),
            version=int(wallycore.tx_get_version(tx)),
            locktime=int(wallycore.tx_get_locktime(tx)),
            weight=len(raw) * 4 + 2,
            inputs=tuple(_input(parsed, tx, index) for index in range(wallycore.tx_get_num_inputs(tx))),
            outputs=tuple(_output(parsed, tx, index) for index in range(wallycore.tx_get_num_outputs(tx))),
        )
    except ValueError as error:
        raise Unreadable("psbt_malformed", "This is not a PSBT of version 0 with an unsigned tx.") from error


def pure(text: str, wallet: Descriptor, places: Sequence[tuple[int, int]], change: Mapping[int, int]) -> str:
    """Return a PSBT of the same tx with nothing in it but what the rules checked or the descriptor says.

    A device then reads no path, script or unknown field that somebody else wrote. ``places`` are branch and index of each
    input, ``change`` the index of each output that is our own, by its position.
    """
    given = _parse(text)
    made = wallycore.psbt_from_tx(wallycore.psbt_get_global_tx(given), wallycore.WALLY_PSBT_VERSION_0, 0)
    for index, (branch, child) in enumerate(places):
        wallycore.psbt_set_input_witness_utxo(
            made, index, wallycore.psbt_get_input_witness_utxo(given, index)
        )
        previous = wallycore.psbt_get_input_utxo(given, index)
        if previous is not None:
            wallycore.psbt_set_input_utxo(made, index, previous)
        if script := wallet.witness_script(branch, child):
            wallycore.psbt_set_input_witness_script(made, index, script)
        wallycore.psbt_set_input_sighash(made, index, SIGHASH_ALL)
        wallycore.psbt_set_input_keypaths(made, index, _keypaths(wallet, branch, child))
    for vout, child in change.items():
        if script := wallet.witness_script(CHANGE, child):
            wallycore.psbt_set_output_witness_script(made, vout, script)
        wallycore.psbt_set_output_keypaths(made, vout, _keypaths(wallet, CHANGE, child))
    return str(wallycore.psbt_to_base64(made, 0))


def _keypaths(wallet: Descriptor, branch: int, child: int) -> Any:
    found = wallycore.map_keypath_public_key_init(len(wallet.keys))
    for key in wallet.keys:
        public_key = wallet.public_key(key, branch, child)
        wallycore.map_keypath_add(found, public_key, key.fingerprint, [*key.path, branch, child])
    return found


def sign(text: str, master: Any, keys: list[tuple[Key, int, int]]) -> str:
    """Return the PSBT with the master key's signature (SIGHASH_ALL) on every input.

    ``keys`` names for each input the key of the descriptor, its branch and its index, as the rules found them.
    """
    parsed = _parse(text)
    for index, (key, branch, child) in enumerate(keys):
        private = wallycore.bip32_key_from_parent_path(
            master, [*key.path, branch, child], wallycore.BIP32_FLAG_KEY_PRIVATE
        )
        public_key = bytes(wallycore.bip32_key_get_pub_key(private))
        compact = wallycore.ec_sig_from_bytes(
            wallycore.bip32_key_get_priv_key(private),
            _digest(parsed, index),
            wallycore.EC_FLAG_ECDSA | wallycore.EC_FLAG_GRIND_R,
        )
        signature = bytes(wallycore.ec_sig_to_der(compact)) + bytes([SIGHASH_ALL])
        wallycore.psbt_add_input_signature(parsed, index, public_key, signature)
    return str(wallycore.psbt_to_base64(parsed, 0))


def require_signed(given: str, returned: str, public_keys: list[bytes]) -> str:
    """Return the given PSBT with exactly these keys' valid signatures, one an input, taken from what was returned.

    Whoever signed is not believed: raises Refusal unless the tx is the same and each signature is over all of it.
    """
    ours = _parse(given)
    try:
        theirs = _parse(returned)
    except ValueError as error:
        raise Refusal("signed_malformed", "What came back is not a PSBT.") from error
    if bytes(wallycore.tx_to_bytes(wallycore.psbt_get_global_tx(theirs), 0)) != bytes(
        wallycore.tx_to_bytes(wallycore.psbt_get_global_tx(ours), 0)
    ):
        raise Refusal("signed_another", "What came back is a PSBT of another tx.")
    for index, public_key in enumerate(public_keys):
        position = wallycore.psbt_find_input_signature(theirs, index, public_key)
        if not position:
            raise Refusal("signed_missing", f"Input {index} came back without our key's signature.")
        signature = bytes(wallycore.psbt_get_input_signature(theirs, index, position - 1))
        if not _is_valid(ours, index, public_key, signature):
            raise Refusal("signed_invalid", f"The signature on input {index} is not valid over the whole tx.")
        wallycore.psbt_add_input_signature(ours, index, public_key, signature)
    return str(wallycore.psbt_to_base64(ours, 0))


def _parse(text: str) -> Any:
    # The C decoder stops reading at a NUL and takes no other characters than these.
    if not text.isascii() or "\0" in text:
        raise ValueError("not base64")
    parsed = wallycore.psbt_from_base64(text, wallycore.WALLY_PSBT_PARSE_FLAG_STRICT)
    if wallycore.psbt_get_version(parsed) != 0 or wallycore.psbt_is_elements(parsed):
        raise ValueError("not version 0")
    return parsed


def _input(parsed: Any, tx: Any, index: int) -> Input:
    txid = bytes(wallycore.tx_get_input_txhash(tx, index))
    vout = int(wallycore.tx_get_input_index(tx, index))
    witness_utxo = wallycore.psbt_get_input_witness_utxo(parsed, index)
    amount_sat, script = None, b""
    if witness_utxo is not None:
        amount_sat = int(wallycore.tx_output_get_satoshi(witness_utxo))
        script = bytes(wallycore.tx_output_get_script(witness_utxo))
    is_final = wallycore.psbt_get_input_final_scriptsig_len(parsed, index) or (
        wallycore.psbt_get_input_final_witness(parsed, index) is not None
    )
    return Input(
        outpoint=f"{txid[::-1].hex()}:{vout}",
        sequence=int(wallycore.tx_get_input_sequence(tx, index)),
        amount_sat=amount_sat,
        script_pubkey=script,
        witness_script=bytes(wallycore.psbt_get_input_witness_script(parsed, index) or b""),
        sighash=int(wallycore.psbt_get_input_sighash(parsed, index)),
        derivations=tuple(
            _derivation(bytes(wallycore.psbt_get_input_keypath(parsed, index, n)))
            for n in range(wallycore.psbt_get_input_keypaths_size(parsed, index))
        ),
        signature_count=int(wallycore.psbt_get_input_signatures_size(parsed, index)),
        is_final=bool(is_final),
        is_proved=_is_proved(parsed, index, (txid, vout), (amount_sat, script)),
    )


def _is_proved(parsed: Any, index: int, spent: tuple[bytes, int], said: tuple[int | None, bytes]) -> bool:
    """Compare what is said of the spent output with the previous tx, where the PSBT has it; a lie is malformed."""
    previous = wallycore.psbt_get_input_utxo(parsed, index)
    if previous is None:
        return False
    txid, vout = spent
    if bytes(wallycore.tx_get_txid(previous)) != txid or vout >= wallycore.tx_get_num_outputs(previous):
        raise ValueError("another previous tx")
    real = (
        int(wallycore.tx_get_output_satoshi(previous, vout)),
        bytes(wallycore.tx_get_output_script(previous, vout)),
    )
    if said[0] is not None and real != said:
        raise ValueError("the previous tx says otherwise")
    return said[0] is not None


def _output(parsed: Any, tx: Any, index: int) -> Output:
    return Output(
        amount_sat=int(wallycore.tx_get_output_satoshi(tx, index)),
        script_pubkey=bytes(wallycore.tx_get_output_script(tx, index)),
        derivations=tuple(
            _derivation(bytes(wallycore.psbt_get_output_keypath(parsed, index, n)))
            for n in range(wallycore.psbt_get_output_keypaths_size(parsed, index))
        ),
    )


def _derivation(value: bytes) -> Derivation:
    return Derivation(value[:4], struct.unpack(f"<{len(value) // 4 - 1}I", value[4:]))


def _is_valid(parsed: Any, index: int, public_key: bytes, signature: bytes) -> bool:
    if signature[-1:] != bytes([SIGHASH_ALL]):
        return False
    try:
        compact = wallycore.ec_sig_from_der(signature[:-1])
        # The network relays only the one strict, low-S encoding (BIP66, BIP146).
        if wallycore.ec_sig_to_der(wallycore.ec_sig_normalize(compact)) != signature[:-1]:
            return False
        wallycore.ec_sig_verify(public_key, _digest(parsed, index), wallycore.EC_FLAG_ECDSA, compact)
    except ValueError:
        return False
    return True


def _digest(parsed: Any, index: int) -> bytes:
    """Return what an input's signature commits to (BIP143), the amount that the PSBT says among it."""
    utxo = wallycore.psbt_get_input_witness_utxo(parsed, index)
    script = bytes(wallycore.tx_output_get_script(utxo))
    witness_script = wallycore.psbt_get_input_witness_script(parsed, index)
    code = bytes(witness_script) if witness_script else b"\x76\xa9\x14" + script[2:] + b"\x88\xac"
    return bytes(
        wallycore.tx_get_btc_signature_hash(
            wallycore.psbt_get_global_tx(parsed),
            index,
            code,
            wallycore.tx_output_get_satoshi(utxo),
            SIGHASH_ALL,
            wallycore.WALLY_TX_FLAG_USE_WITNESS,
        )
    )
