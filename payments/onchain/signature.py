"""Checks the signature of an input against the output it spends, so that no signer is taken at its word."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import wallycore

from govpay import errors
from payments.onchain import address

if TYPE_CHECKING:
    from payments.onchain import tx

OP_CHECKMULTISIG = 0xAE
OP_0_LESS = 0x50  # OP_1 to OP_16 are their number above it.

SIGHASH_ALL = 1
_SIGHASH_DEFAULT = 0


class SignatureRefused(errors.GovPayError):
    """What the signer returned is not what it was given, signed in full; ``details['rule']`` says how.

    Rules: malformed, altered, prevouts, unsigned, script_sig, witness, sighash, public_key, invalid,
    unsupported; of what came back also: too_large, another_tx, stranger, incomplete.
    """

    code = "signature_refused"
    http_status = 422


def check_input(signed: Any, index: int, prevouts: Sequence["tx.Output"]) -> None:
    """Refuse the input unless it carries a valid signature over the whole tx by the key it spends.

    ``signed`` is what ``tx.read`` returned, ``prevouts`` are the spent outputs of all inputs in order; taproot signs
    all of them. Raises SignatureRefused.
    """
    prevout = prevouts[index]
    if wallycore.tx_get_input_script_len(signed, index):
        _refuse(index, "script_sig", "has an input script, which native segwit never has")
    stack = witness_of(signed, index)
    if not stack:
        _refuse(index, "unsigned", "is not signed")
    kind = address.kind(prevout.script_pubkey)
    if kind == "p2wpkh":
        _check_p2wpkh(signed, index, prevout, stack)
    elif kind == "p2wsh":
        _check_p2wsh(signed, index, prevout, stack)
    elif kind == "p2tr":
        _check_p2tr_key_path(signed, index, stack, prevouts)
    else:
        _refuse(index, "unsupported", "spends an output that is neither P2WPKH, P2WSH nor P2TR")


def witness_of(found: Any, index: int) -> list[bytes]:
    """Return the witness of an input of the library's tx, empty where it has none."""
    return [
        bytes(wallycore.tx_get_input_witness(found, index, item))
        for item in range(wallycore.tx_get_input_witness_num_items(found, index))
    ]


def digest_of(found: Any, index: int, *, amount_sat: int, script_code: bytes) -> bytes:
    """Return what a SIGHASH_ALL signature of a segwit input signs (BIP143): the whole tx and the coin it spends.

    ``script_code`` is the witness script, or for P2WPKH the P2PKH script of the key.
    """
    segwit = wallycore.WALLY_TX_FLAG_USE_WITNESS
    return bytes(
        wallycore.tx_get_btc_signature_hash(found, index, script_code, amount_sat, SIGHASH_ALL, segwit)
    )


def check_ecdsa(index: int, *, digest: bytes, public_key: bytes, signature: bytes) -> None:
    """Refuse a signature (DER, then the sighash byte) of an input unless it is the key's, by SIGHASH_ALL, low S.

    Raises SignatureRefused: sighash, invalid.
    """
    if signature[-1:] != bytes([SIGHASH_ALL]):
        _refuse(index, "sighash", "is not signed with SIGHASH_ALL")
    try:
        compact = wallycore.ec_sig_from_der(signature[:-1])
        # The network relays only the one strict, low-S encoding (BIP66, BIP146).
        if wallycore.ec_sig_to_der(wallycore.ec_sig_normalize(compact)) != signature[:-1]:
            _refuse(index, "invalid", "has a signature in another encoding than the network relays")
        wallycore.ec_sig_verify(public_key, digest, wallycore.EC_FLAG_ECDSA, compact)
    except ValueError:
        _refuse(index, "invalid", "has a signature that is not valid")


def p2wpkh_script_code(public_key: bytes) -> bytes:
    """Return what a signature of a P2WPKH input covers instead of a script (BIP143)."""
    return b"\x76\xa9\x14" + bytes(wallycore.hash160(public_key)) + b"\x88\xac"


def multisig_of(script: bytes) -> tuple[int, list[bytes]] | None:
    """Return how many keys must sign, and the keys in their order, of a bare multisig script; None for any other."""
    if len(script) < 37 or (len(script) - 3) % 34 or script[-1] != OP_CHECKMULTISIG:
        return None
    keys = [script[start + 1 : start + 34] for start in range(1, len(script) - 2, 34)]
    needed = script[0] - OP_0_LESS
    if not 1 <= needed <= len(keys) <= 16 or script[-2] - OP_0_LESS != len(keys):
        return None
    is_plain = all(script[start] == 33 for start in range(1, len(script) - 2, 34))
    return (needed, keys) if is_plain else None


def _check_p2wpkh(signed: Any, index: int, prevout: "tx.Output", stack: list[bytes]) -> None:
    if len(stack) != 2 or len(stack[1]) != 33:
        _refuse(index, "witness", "does not have a signature and a compressed public key")
    signature, public_key = stack
    if wallycore.hash160(public_key) != prevout.script_pubkey[2:]:
        _refuse(index, "public_key", "is signed by another key")
    digest = digest_of(
        signed, index, amount_sat=prevout.amount_sat, script_code=p2wpkh_script_code(public_key)
    )
    check_ecdsa(index, digest=digest, public_key=public_key, signature=signature)


def _check_p2wsh(signed: Any, index: int, prevout: "tx.Output", stack: list[bytes]) -> None:
    """Take a bare multisig script only, with exactly as many signatures as it needs, in the order of its keys."""
    script = stack[-1]
    if hashlib.sha256(script).digest() != prevout.script_pubkey[2:]:
        _refuse(index, "witness", "does not show the script that it spends")
    multisig = multisig_of(script)
    if multisig is None:
        _refuse(index, "unsupported", "spends a script that is not a multisig")
    needed, keys = multisig
    # The first item is one that OP_CHECKMULTISIG takes by an old mistake; it must be empty (BIP147).
    if len(stack) != needed + 2 or stack[0]:
        _refuse(index, "witness", f"does not have exactly {needed} signatures")
    digest = digest_of(signed, index, amount_sat=prevout.amount_sat, script_code=script)
    waiting = iter(keys)
    for signature in stack[1:-1]:
        if signer_of(index, digest, waiting, signature) is None:
            _refuse(index, "invalid", "has a signature that is not valid, or in another order than its keys")


def signer_of(index: int, digest: bytes, keys: Iterable[bytes], signature: bytes) -> bytes | None:
    """Return the first of the keys that made the signature; raise SignatureRefused on another sighash."""
    for key in keys:
        try:
            check_ecdsa(index, digest=digest, public_key=key, signature=signature)
        except SignatureRefused as error:
            if error.details["rule"] == "sighash":
                raise
        else:
            return key
    return None


def _check_p2tr_key_path(
    signed: Any, index: int, stack: list[bytes], prevouts: Sequence["tx.Output"]
) -> None:
    if len(stack) != 1 or len(stack[0]) not in (64, 65):
        _refuse(index, "witness", "is not a taproot key path spend")
    signature = stack[0]
    sighash = signature[64] if len(signature) == 65 else _SIGHASH_DEFAULT
    if len(signature) == 65 and sighash != SIGHASH_ALL:
        _refuse(index, "sighash", "is not signed with SIGHASH_ALL or SIGHASH_DEFAULT")
    scripts = wallycore.map_init(len(prevouts), None)
    for position, prevout in enumerate(prevouts):
        wallycore.map_add_integer(scripts, position, prevout.script_pubkey)
    amounts = [prevout.amount_sat for prevout in prevouts]
    try:
        digest = wallycore.tx_get_btc_taproot_signature_hash(
            signed, index, scripts, amounts, None, 0, wallycore.WALLY_NO_CODESEPARATOR, None, sighash, 0
        )
        wallycore.ec_sig_verify(
            prevouts[index].script_pubkey[2:], digest, wallycore.EC_FLAG_SCHNORR, signature[:64]
        )
    except ValueError:
        _refuse(index, "invalid", "has a signature that is not valid")


def _refuse(index: int, rule: str, fact: str) -> NoReturn:
    raise SignatureRefused(f"Input {index} {fact}.", rule=rule, input=index)
