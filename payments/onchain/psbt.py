"""Wraps unsigned txs into PSBTs (BIP174) and takes them out again."""

from collections.abc import Sequence

import wallycore

from govpay import errors
from payments.onchain import tx


class MalformedPsbt(errors.GovPayError):
    """The text is not a PSBT with an unsigned tx inside."""

    code = "malformed_psbt"
    http_status = 422


def from_unsigned(unsigned: bytes, prevouts: Sequence[tx.Output]) -> str:
    """Return the base64 PSBT of an unsigned tx, with the spent output of each input (its witness utxo).

    Raises tx.MalformedTx, and ValueError unless there is one prevout for each input.
    """
    try:
        parsed = wallycore.tx_from_bytes(unsigned, 0)
        psbt = wallycore.psbt_from_tx(parsed, wallycore.WALLY_PSBT_VERSION_0, 0)
    except ValueError as error:
        raise tx.MalformedTx("A PSBT is made of a tx without signatures.") from error
    if wallycore.tx_get_num_inputs(parsed) != len(prevouts):
        raise ValueError("A PSBT needs one spent output for each input.")
    # The library drops signatures without a word; what it did not keep was not an unsigned tx.
    if bytes(wallycore.tx_to_bytes(wallycore.psbt_get_global_tx(psbt), 0)) != unsigned:
        raise tx.MalformedTx("A PSBT is made of a tx without signatures.")
    for index, prevout in enumerate(prevouts):
        output = wallycore.tx_output_init(prevout.amount_sat, prevout.script_pubkey)
        wallycore.psbt_set_input_witness_utxo(psbt, index, output)
    return str(wallycore.psbt_to_base64(psbt, 0))


def unsigned_tx(psbt: str) -> bytes:
    """Return the unsigned tx inside a base64 PSBT; raise MalformedPsbt."""
    # The C decoder stops reading at a NUL and takes no other characters than these.
    if not psbt.isascii() or "\0" in psbt:
        raise MalformedPsbt("This is not a PSBT.")
    try:
        parsed = wallycore.psbt_from_base64(psbt, wallycore.WALLY_PSBT_PARSE_FLAG_STRICT)
        return bytes(wallycore.tx_to_bytes(wallycore.psbt_get_global_tx(parsed), 0))
    except ValueError as error:
        raise MalformedPsbt("This is not a PSBT with an unsigned tx.") from error
