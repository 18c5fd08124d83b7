"""Checks that whoever controls an address signed a message: BIP-322 in its simple form, and signatures from before it.

BIP-322 signs a tx that nothing can ever contain (``to_sign``) as the address would spend a coin; so the address's own
kind of signature is checked by the code that checks those of payouts.
"""

import base64
import binascii
import hashlib
from enum import StrEnum
from typing import Any, NoReturn

import wallycore

from govpay import errors
from payments.onchain import address, signature, tx

MAX_TEXT = 8_000
_TAG = hashlib.sha256(b"BIP0322-signed-message").digest()
_PREFIX = b"\x18Bitcoin Signed Message:\n"
_PREFIX_SIMPLE = "smp"
_VERSION_0 = bytes(4)
_OP_RETURN = b"\x6a"
# A compact signature's first byte says which of four keys it recovers, and until 2019 whether that is compressed (27, 31);
# BIP137 has more of them for keys behind P2SH (35) and P2WPKH (39). Wallets mix these up, so only the key counts.
_FIRST, _FIRST_COMPRESSED, _LAST = 27, 31, 42


class Form(StrEnum):
    """How a message was signed."""

    BIP322 = "bip322"
    LEGACY = "legacy"


class ProofRefused(errors.GovPayError):
    """The signature is not one of this message by whoever controls this address; ``details['rule']`` says why.

    Rules: malformed, invalid, unsupported.
    """

    code = "control_not_proved"
    http_status = 422


def verify(*, script_pubkey: bytes, message: str, text: str) -> Form:
    """Return the form of the signature; raise ProofRefused unless it proves control of the script.

    ``text`` is base64: a witness (BIP-322 simple, for P2WPKH, P2TR by its key, and P2WSH of a multisig), or a compact
    signature of 65 bytes (for P2PKH, P2WPKH, and P2SH of a P2WPKH).
    """
    raw = _decode(text)
    kind = address.kind(script_pubkey)
    if len(raw) == 65 and _FIRST <= raw[0] <= _LAST and kind in ("p2pkh", "p2wpkh", "p2sh"):
        _verify_legacy(script_pubkey, message.encode(), raw)
        return Form.LEGACY
    if kind not in ("p2wpkh", "p2wsh", "p2tr"):
        _refuse("unsupported", "Such an address proves control by a signed message of 65 bytes only.")
    _verify_simple(script_pubkey, message.encode(), raw)
    return Form.BIP322


def to_sign(script_pubkey: bytes, message: bytes, witness: bytes = b"") -> bytes:
    """Return the tx that is signed for a message, with its witness as it is serialized, or without."""
    coin = tx.double_sha256(to_spend(script_pubkey, message))
    body = b"\x01" + coin + bytes(4) + b"\0" + bytes(4) + b"\x01" + bytes(8) + b"\x01" + _OP_RETURN
    return _VERSION_0 + (b"\x00\x01" if witness else b"") + body + witness + bytes(4)


def to_spend(script_pubkey: bytes, message: bytes) -> bytes:
    """Return the tx whose output a signer of the message would spend."""
    digest = hashlib.sha256(_TAG + _TAG + message).digest()
    script = b"\x00\x20" + digest
    spent = bytes(32) + b"\xff" * 4 + bytes([len(script)]) + script + bytes(4)
    paid = bytes(8) + tx.compact_size(len(script_pubkey)) + script_pubkey
    return _VERSION_0 + b"\x01" + spent + b"\x01" + paid + bytes(4)


def legacy_digest(message: bytes) -> bytes:
    """Return what a signature from before BIP-322 signs."""
    return tx.double_sha256(_PREFIX + tx.compact_size(len(message)) + message)


def _decode(text: str) -> bytes:
    found = text.strip().removeprefix(_PREFIX_SIMPLE)
    if not 0 < len(found) <= MAX_TEXT:
        _refuse("malformed", "There is no signature, or one that is too long.")
    try:
        return base64.b64decode(found, validate=True)
    except (binascii.Error, ValueError):
        _refuse("malformed", "The signature is not base64.")


def _verify_simple(script_pubkey: bytes, message: bytes, witness: bytes) -> None:
    try:
        signed: Any = tx.read(to_sign(script_pubkey, message, witness))
        signature.check_input(signed, 0, [tx.Output(0, script_pubkey)])
    except tx.MalformedTx as error:
        raise ProofRefused("The signature is not the witness of one input.", rule="malformed") from error
    except signature.SignatureRefused as error:
        rule = "unsupported" if error.details["rule"] == "unsupported" else "invalid"
        raise ProofRefused("The address did not sign this message.", rule=rule) from error


def _verify_legacy(script_pubkey: bytes, message: bytes, raw: bytes) -> None:
    # The library wants the first byte of a compressed key; which kind of address it was for changes nothing in the key.
    head = _FIRST_COMPRESSED + (raw[0] - _FIRST) % 4
    try:
        key = bytes(wallycore.ec_sig_to_public_key(legacy_digest(message), bytes([head]) + raw[1:]))
    except ValueError as error:
        raise ProofRefused("The address did not sign this message.", rule="invalid") from error
    if raw[0] < _FIRST_COMPRESSED:
        key = bytes(wallycore.ec_public_key_decompress(key))
    if script_pubkey not in _scripts(key):
        _refuse("invalid", "The address did not sign this message.")


def _scripts(key: bytes) -> tuple[bytes, ...]:
    """Return the scripts that a key controls alone; a key that is not compressed never spends from segwit."""
    hashed = bytes(wallycore.hash160(key))
    p2pkh = b"\x76\xa9\x14" + hashed + b"\x88\xac"
    if len(key) != 33:
        return (p2pkh,)
    p2wpkh = b"\x00\x14" + hashed
    return p2pkh, p2wpkh, b"\xa9\x14" + bytes(wallycore.hash160(p2wpkh)) + b"\x87"


def _refuse(rule: str, message: str) -> NoReturn:
    raise ProofRefused(message, rule=rule)
