"""Checks the signature of an input against the output it spends, so that no signer is taken at its word."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import wallycore
from bitcoin.core import CTransaction
from bitcoin.core.script import SIGHASH_ALL, SIGVERSION_WITNESS_V0, CScript, SignatureHash

from govpay import errors
from payments.onchain import address

if TYPE_CHECKING:
    from payments.onchain import tx

_SIGHASH_DEFAULT = 0


class SignatureRefused(errors.GovPayError):
    """What the signer returned is not what it was given, signed in full; ``details['rule']`` says how.

    Rules: malformed, altered, prevouts, unsigned, script_sig, witness, sighash, public_key, invalid,
    unsupported.
    """

    code = "signature_refused"
    http_status = 422


def check_input(signed: CTransaction, raw: bytes, index: int, prevouts: Sequence["tx.Output"]) -> None:
    """Refuse the input unless it carries a valid signature over the whole tx by the key it spends.

    ``prevouts`` are the spent outputs of all inputs in order; taproot signs all of them. Raises
    SignatureRefused.
    """
    prevout = prevouts[index]
    if signed.vin[index].scriptSig:
        _refuse(index, "script_sig", "has an input script, which native segwit never has")
    stack = list(signed.wit.vtxinwit[index].scriptWitness.stack) if signed.wit.vtxinwit else []
    if not stack:
        _refuse(index, "unsigned", "is not signed")
    kind = address.kind(prevout.script_pubkey)
    if kind == "p2wpkh":
        _check_p2wpkh(signed, index, prevout, stack)
    elif kind == "p2tr":
        _check_p2tr_key_path(raw, index, stack, prevouts)
    else:
        _refuse(index, "unsupported", "spends an output that is neither P2WPKH nor P2TR")


def _check_p2wpkh(signed: CTransaction, index: int, prevout: "tx.Output", stack: list[bytes]) -> None:
    if len(stack) != 2 or len(stack[1]) != 33:
        _refuse(index, "witness", "does not have a signature and a compressed public key")
    signature, public_key = stack
    key_hash = prevout.script_pubkey[2:]
    if wallycore.hash160(public_key) != key_hash:
        _refuse(index, "public_key", "is signed by another key")
    if signature[-1:] != bytes([SIGHASH_ALL]):
        _refuse(index, "sighash", "is not signed with SIGHASH_ALL")
    script_code = CScript(b"\x76\xa9\x14" + key_hash + b"\x88\xac")
    digest = SignatureHash(
        script_code, signed, index, SIGHASH_ALL, amount=prevout.amount_sat, sigversion=SIGVERSION_WITNESS_V0
    )
    try:
        compact = wallycore.ec_sig_from_der(signature[:-1])
        # The network relays only the one strict, low-S encoding (BIP66, BIP146).
        if wallycore.ec_sig_to_der(wallycore.ec_sig_normalize(compact)) != signature[:-1]:
            _refuse(index, "invalid", "has a signature in another encoding than the network relays")
        wallycore.ec_sig_verify(public_key, digest, wallycore.EC_FLAG_ECDSA, compact)
    except ValueError:
        _refuse(index, "invalid", "has a signature that is not valid")


def _check_p2tr_key_path(raw: bytes, index: int, stack: list[bytes], prevouts: Sequence["tx.Output"]) -> None:
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
    parsed = wallycore.tx_from_bytes(raw, wallycore.WALLY_TX_FLAG_USE_WITNESS)
    try:
        digest = wallycore.tx_get_btc_taproot_signature_hash(
            parsed, index, scripts, amounts, None, 0, wallycore.WALLY_NO_CODESEPARATOR, None, sighash, 0
        )
        wallycore.ec_sig_verify(
            prevouts[index].script_pubkey[2:], digest, wallycore.EC_FLAG_SCHNORR, signature[:64]
        )
    except ValueError:
        _refuse(index, "invalid", "has a signature that is not valid")


def _refuse(index: int, rule: str, fact: str) -> NoReturn:
    raise SignatureRefused(f"Input {index} {fact}.", rule=rule, input=index)
