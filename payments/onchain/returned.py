"""Reads what a signer returned, and refuses all but valid signatures over the whole of exactly the tx that went out."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import wallycore

from payments.onchain import bbqr, psbt, signature, tx
from payments.onchain import descriptor as descriptors
from payments.onchain.signature import SignatureRefused

# A PSBT of 100 kvB with 20 whole previous txs is well below this.
MAX_BYTES = 8_000_000

_MAGIC = b"psbt\xff"
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2})+")
_WHITESPACE = re.compile(rb"[ \t\r\n]+")
_SIGHASHES = (0, 1)  # Not said, and SIGHASH_ALL.

# One signer's signatures: one for each input, in order.
Signatures = tuple[bytes, ...]


@dataclass(frozen=True)
class Sent:
    """What went out: the unsigned tx, the outputs that it spends, and where those are in the wallet's descriptor."""

    unsigned: bytes
    prevouts: Sequence[tx.Output]
    places: Sequence[psbt.Place]
    descriptor: descriptors.Descriptor

    def public_key(self, key: descriptors.Key, position: int) -> bytes:
        """Return a signer's public key for an input."""
        return key.public_key(*self.places[position])

    def pairs(self, fingerprint: str, signatures: Signatures) -> list[tuple[bytes, bytes]]:
        """Return one signer's public key and signature for each input."""
        key = next(key for key in self.descriptor.keys if key.fingerprint == fingerprint)
        return [(self.public_key(key, position), signed) for position, signed in enumerate(signatures)]

    def script_code(self, position: int) -> bytes:
        """Return the script that signatures of an input cover."""
        script = self.descriptor.witness_script(*self.places[position])
        return script or signature.p2wpkh_script_code(self.public_key(self.descriptor.keys[0], position))


def read(data: bytes, sent: Sent) -> dict[str, Signatures]:
    """Return the valid signatures in the data by the signers' fingerprints.

    Takes a PSBT (version 0 or 2; binary, base64 or hexadecimal), finalized or not, a signed raw tx in hexadecimal, and the
    texts of a series of QR codes (``bbqr``) that hold either.
    Raises SignatureRefused: malformed, too_large, another_tx, altered, sighash, unsigned, stranger, invalid, witness,
    incomplete. One bad signature refuses them all.
    """
    unsigned, found = _signatures_of(data, sent)
    _require_same(unsigned, sent.unsigned)
    signers = [key for key in sent.descriptor.keys if any(key.fingerprint in of_input for of_input in found)]
    if not signers:
        raise SignatureRefused("There is no signature in it.", rule="unsigned")
    for key in signers:
        for position, of_input in enumerate(found):
            if key.fingerprint not in of_input:
                raise SignatureRefused(
                    f"Signer {key.fingerprint} did not sign input {position}; each signer signs all inputs.",
                    rule="incomplete",
                    input=position,
                    fingerprint=key.fingerprint,
                )
    return {key.fingerprint: tuple(of_input[key.fingerprint] for of_input in found) for key in signers}


def txid_of(data: bytes) -> str:
    """Return the txid of the tx inside a PSBT or raw tx, to find what it belongs to; raise SignatureRefused."""
    opened = open_any(data)
    try:
        unsigned = tx.unsigned_form(opened if isinstance(opened, bytes) else psbt.tx_inside(opened))
    except tx.MalformedTx as error:
        raise SignatureRefused("This is neither a PSBT nor a tx.", rule="malformed") from error
    return tx.double_sha256(unsigned)[::-1].hex()


def finalize(sent: Sent, by_signer: Mapping[str, Signatures]) -> bytes:
    """Return the signed tx of the first signers that suffice, in the descriptor's order; check it with check_signed."""
    chosen = [key for key in sent.descriptor.keys if key.fingerprint in by_signer][: sent.descriptor.needed]
    stacks = []
    for position, place in enumerate(sent.places):
        pairs = sorted(
            (sent.public_key(key, position), by_signer[key.fingerprint][position]) for key in chosen
        )
        script = sent.descriptor.witness_script(*place)
        if script is None:
            stacks.append([pairs[0][1], pairs[0][0]])
        else:
            stacks.append([b"", *(signed for _, signed in pairs), script])
    return tx.with_witnesses(sent.unsigned, stacks)


def _signatures_of(data: bytes, sent: Sent) -> tuple[bytes, list[dict[str, bytes]]]:
    """Return the tx that was signed, and the signatures of each input by fingerprint."""
    opened = open_any(data)
    return _of_raw_tx(opened, sent) if isinstance(opened, bytes) else _of_psbt(opened, sent)


def open_any(data: bytes) -> Any:
    """Return the library's PSBT, or the bytes of what can only be a raw tx; raise SignatureRefused."""
    if len(data) > MAX_BYTES:
        raise SignatureRefused(f"It has more than {MAX_BYTES:,} bytes.", rule="too_large")
    data = _from_series(data)
    if not data.startswith(_MAGIC):
        data = _WHITESPACE.sub(b"", data)
        if _HEX.fullmatch(data):
            data = binascii.unhexlify(data)
            if not data.startswith(_MAGIC):
                return data
        else:
            data = _from_base64(data)
    try:
        return psbt.parse(data)
    except psbt.MalformedPsbt as error:
        raise SignatureRefused(error.message, rule="malformed") from error


def _from_series(data: bytes) -> bytes:
    """Put together what QR codes held, a raw tx in hexadecimal; anything else is as it was."""
    if data.lstrip()[:2] != b"B$":
        return data
    try:
        joined = bbqr.join(data.decode("ascii", errors="replace"), most_bytes=MAX_BYTES)
    except bbqr.SeriesBroken as error:
        raise SignatureRefused(error.message, rule="malformed") from error
    return joined if joined.startswith(_MAGIC) else binascii.hexlify(joined)


def _from_base64(data: bytes) -> bytes:
    try:
        decoded = base64.b64decode(data, validate=True)
    except binascii.Error:
        decoded = b""
    if not decoded.startswith(_MAGIC):
        raise SignatureRefused(
            "This is neither a PSBT (binary, base64 or hexadecimal) nor a tx.", rule="malformed"
        )
    return decoded


def _of_raw_tx(raw: bytes, sent: Sent) -> tuple[bytes, list[dict[str, bytes]]]:
    try:
        unsigned, stacks = tx.unsigned_form(raw), tx.witnesses_of(raw)
        scripts = tx.input_scripts_of(raw)
    except tx.MalformedTx as error:
        raise SignatureRefused("This is neither a PSBT nor a tx.", rule="malformed") from error
    _require_same(unsigned, sent.unsigned)
    if any(scripts):
        raise SignatureRefused("It has an input script, which native segwit never has.", rule="script_sig")
    return unsigned, [_of_witness(stack, position, sent) for position, stack in enumerate(stacks)]


def _of_psbt(parsed: Any, sent: Sent) -> tuple[bytes, list[dict[str, bytes]]]:
    unsigned = psbt.tx_inside(parsed)
    # Before any signature is looked at: of another tx none of them means anything.
    _require_same(unsigned, sent.unsigned)
    found = [_of_partial(parsed, position, sent) for position in range(len(sent.prevouts))]
    final = wallycore.psbt_extract(parsed, wallycore.WALLY_PSBT_EXTRACT_OPT_FINAL)
    stacks = tx.witnesses_of(bytes(wallycore.tx_to_bytes(final, wallycore.WALLY_TX_FLAG_USE_WITNESS)))
    for position, stack in enumerate(stacks):
        found[position] |= _of_witness(stack, position, sent)
    return unsigned, found


def _of_partial(parsed: Any, position: int, sent: Sent) -> dict[str, bytes]:
    """Return the partial signatures of an input that are by keys of the descriptor, each checked."""
    if wallycore.psbt_get_input_sighash(parsed, position) not in _SIGHASHES:
        _refuse(position, "sighash", "asks for another sighash than ALL")
    found = {}
    for key in sent.descriptor.keys:
        at = wallycore.psbt_find_input_signature(parsed, position, sent.public_key(key, position))
        if at:
            found[key.fingerprint] = bytes(wallycore.psbt_get_input_signature(parsed, position, at - 1))
    if wallycore.psbt_get_input_signatures_size(parsed, position) != len(found):
        _refuse(position, "stranger", "is signed by a key that is not in the wallet's descriptor")
    if found:
        digest = _digest(position, sent)
        for key in sent.descriptor.keys:
            if key.fingerprint in found:
                signature.check_ecdsa(
                    position,
                    digest=digest,
                    public_key=sent.public_key(key, position),
                    signature=found[key.fingerprint],
                )
    return found


def _of_witness(stack: Sequence[bytes], position: int, sent: Sent) -> dict[str, bytes]:
    """Return the signatures in the final witness of an input by their signers, each checked."""
    if not stack:
        return {}
    by_key = {sent.public_key(key, position): key.fingerprint for key in sent.descriptor.keys}
    script = sent.descriptor.witness_script(*sent.places[position])
    if script is None:
        if len(stack) != 2 or stack[1] not in by_key:
            _refuse(position, "stranger", "is signed by a key that is not in the wallet's descriptor")
        signatures = stack[:1]
    else:
        if len(stack) != sent.descriptor.needed + 2 or stack[0] or stack[-1] != script:
            _refuse(
                position,
                "witness",
                "does not have the signatures and the script that the descriptor asks for",
            )
        signatures = stack[1:-1]
    digest = _digest(position, sent)
    found = {}
    for signed in signatures:
        public_key = signature.signer_of(position, digest, sorted(by_key), signed)
        if public_key is None:
            _refuse(position, "invalid", "has a signature that is not valid")
        found[by_key[public_key]] = signed
    return found


def _digest(position: int, sent: Sent) -> bytes:
    return signature.digest_of(
        tx.read(sent.unsigned),
        position,
        amount_sat=sent.prevouts[position].amount_sat,
        script_code=sent.script_code(position),
    )


def _require_same(found: bytes, sent: bytes) -> None:
    if found == sent:
        return
    try:
        is_same_coins = tx.inputs_of(found) == tx.inputs_of(sent)
    except tx.MalformedTx as error:
        raise SignatureRefused("There is no tx inside.", rule="malformed") from error
    if not is_same_coins:
        raise SignatureRefused(
            "It is another tx than the one that went out: it spends other coins.", rule="another_tx"
        )
    raise SignatureRefused(
        "The tx was altered: it spends the same coins, but its outputs or its terms are not those that went out.",
        rule="altered",
    )


def _refuse(position: int, rule: str, fact: str) -> NoReturn:
    raise SignatureRefused(f"Input {position} {fact}.", rule=rule, input=position)
