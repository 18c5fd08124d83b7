"""Proofs of reserves by BIP-127: a tx that nothing can ever contain, signed as its outputs would be spent (R-32).

The first input names no output: its txid is the SHA-256 of the message, so that the network refuses the tx, and whoever
copies it proves nothing under another message. The other inputs are all outputs that are proved, and the one output
is their sum.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import wallycore

from govpay import errors
from payments.onchain import psbt, returned, signature, tx

PREFIX = "Proof-of-Reserves: "
# What the first input counts as spending: nothing, under a script that needs no signature.
_COMMITTED = tx.Output(0, b"\x51")
# Where the sum goes, which the BIP leaves open: to the hash of a script that nobody can fulfill (P2WSH of OP_RETURN).
_NOBODY = b"\x00\x20" + hashlib.sha256(b"\x6a").digest()


class ReservesNotProved(errors.GovPayError):
    """The tx does not prove what is claimed; ``details['rule']`` says why.

    Rules: malformed, wrong_message, foreign_output, spent_output, output_missing, amount_differs, signature; of a statement
    also foreign_address.
    """

    code = "reserves_not_proved"
    http_status = 422


def commitment(message: str) -> tx.OutPoint:
    """Return the output that does not exist and stands for a message."""
    digest = hashlib.sha256(f"{PREFIX}{message}".encode()).digest()
    # The field of the tx is the digest; a txid is displayed with its bytes reversed.
    return tx.OutPoint(digest[::-1].hex(), 0)


def build(message: str, coins: Mapping[tx.OutPoint, tx.Output]) -> bytes:
    """Return the unsigned tx that proves outputs, in their order, under a message."""
    total_sat = sum(coin.amount_sat for coin in coins.values())
    return tx.build_unsigned([commitment(message), *coins], [tx.Output(total_sat, _NOBODY)])


def to_psbt(unsigned: bytes, coins: Sequence[tx.Output]) -> str:
    """Return the base64 PSBT of a proof's tx for its signers, given the outputs after the first input."""
    return psbt.from_unsigned(unsigned, [_COMMITTED, *coins])


def signed_tx(data: bytes) -> bytes:
    """Return the tx in what signers returned: a PSBT whose inputs are finalized or can be, or a tx in hexadecimal.

    Nothing of it is believed yet. Raises ReservesNotProved.
    """
    try:
        opened = returned.open_any(data)
    except signature.SignatureRefused as error:
        raise ReservesNotProved(error.message, rule="malformed") from error
    return opened if isinstance(opened, bytes) else _extract(opened)


def outputs_of(raw: bytes) -> list[tx.OutPoint]:
    """Return the outputs that a proof's tx names after its first input; raise ReservesNotProved."""
    return list(_parse(raw).inputs[1:])


def check(
    raw: bytes, *, message: str, coins: Mapping[tx.OutPoint, tx.Output], foreign: Sequence[tx.OutPoint] = ()
) -> int:
    """Return the satoshis that a signed tx proves under a message; raise ReservesNotProved.

    ``coins`` are the unspent outputs that must all be in it, and no other, by the node's own set. ``foreign`` are those
    outputs that are unspent elsewhere: what is in neither is spent, or never was.
    """
    found = _parse(raw)
    if found.inputs[:1] != (commitment(message),):
        _refuse("wrong_message", "The tx does not commit to this message.")
    named = found.inputs[1:]
    for outpoint in named:
        if outpoint in foreign:
            _refuse("foreign_output", f"{outpoint} is on another address than those that are claimed.")
        if outpoint not in coins:
            _refuse("spent_output", f"{outpoint} is spent, or never was.")
    missing = set(coins) - set(named)
    if missing:
        _refuse(
            "output_missing",
            f"{min(missing)} is unspent on an address that is claimed, and not in the proof.",
        )
    prevouts = [_COMMITTED, *(coins[outpoint] for outpoint in named)]
    total_sat = sum(coin.amount_sat for coin in prevouts)
    if [output.amount_sat for output in found.outputs] != [total_sat]:
        stated_sat = sum(output.amount_sat for output in found.outputs)
        _refuse("amount_differs", f"The tx states {stated_sat} sat, and its outputs are {total_sat} sat.")
    signed = tx.read(raw)
    for index in range(1, len(prevouts)):
        try:
            signature.check_input(signed, index, prevouts)
        except signature.SignatureRefused as error:
            raise ReservesNotProved(
                error.message, rule="signature", outpoint=str(named[index - 1])
            ) from error
    return total_sat


def _parse(raw: bytes) -> tx.Tx:
    try:
        return tx.parse(raw)
    except tx.MalformedTx as error:
        raise ReservesNotProved(error.message, rule="malformed") from error


def _extract(parsed: Any) -> bytes:
    try:
        # It leaves alone what it cannot finalize: the first input, and what is not signed, which the check refuses.
        wallycore.psbt_finalize(parsed, 0)
        final = wallycore.psbt_extract(parsed, wallycore.WALLY_PSBT_EXTRACT_OPT_FINAL)
        return bytes(wallycore.tx_to_bytes(final, wallycore.WALLY_TX_FLAG_USE_WITNESS))
    except ValueError as error:
        raise ReservesNotProved("No tx can be taken out of this PSBT.", rule="malformed") from error


def _refuse(rule: str, message: str) -> None:
    raise ReservesNotProved(message, rule=rule)
