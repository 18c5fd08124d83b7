"""Receipts: proof for one person that a payment was booked, sealed and mined, which shows nothing of anybody else's.

The books show one line of one entry, each piece under a salt of its own; the chain shows a tx that is public anyway.
"""

import base64
import json
from functools import partial
from typing import Any

from django.db import connection

from govpay.errors import Conflict
from ledger import verify
from ledger.exports.source import snapshot
from ledger.models import Checkpoint, Entry, LeafPayload
from ledger.packs import evidence, record
from ledger.seals import leaf, store, tree

FORMAT = "govpay-receipt-1"
# Checkpoints that are looked at for one with an anchor.
TRIES = 10


class ReceiptNotReady(Conflict):
    """The payment is not final yet, or not sealed under a checkpoint yet.

    ``details['rule']`` says which: settled or sealed.
    """

    code = "receipt_not_ready"


class NoReceipt(Conflict):
    """What is sealed of the payment proves nothing of it alone, and never will.

    ``details['rule']`` says why: redacted, form (an entry of version 1 is shown whole or not at all), outpoint (the entry
    was written before entries named what their txs spend), or the code with which `ledger.verify` would refuse it.
    """

    code = "no_receipt"


def make(payment_id: int) -> bytes:
    """Return a payment's receipt, as `ledger.verify` takes it; raise NotFound, ReceiptNotReady and NoReceipt."""
    backend = evidence.backend()
    with snapshot():
        output = backend.output(payment_id)
        if output is None:
            raise ReceiptNotReady("The payment is not buried in the chain yet.", rule="settled")
        sealed = _sealed(output.payout_id)
        checkpoint, anchor = _checkpoint(backend, sealed.leaf_id)
        made = record.line(
            {
                "amount_sat": str(output.amount_sat),
                "checkpoint": {
                    "anchor": anchor,
                    "key": checkpoint.verifier,
                    "note": checkpoint.note,
                },
                **({} if output.entitlement is None else {"entitlement": output.entitlement}),
                "entry": _entry(sealed, payment_id, checkpoint.seal.size),
                "format": FORMAT,
                "network": backend.network(),
                "output": {
                    "block_height": output.block_height,
                    "branch": output.branch.hex(),
                    "headers": [header.hex() for header in output.headers],
                    "tx": output.tx.hex(),
                },
                "payment": str(payment_id),
                "script_pubkey": output.script_pubkey.hex(),
            }
        )
    try:
        verify.check_receipt(made)
    except verify.Wrong as wrong:
        message = f"What is sealed does not prove the payment: {wrong.rule}"
        raise NoReceipt(message, rule=wrong.code) from wrong
    return made


def _sealed(payout_id: int) -> LeafPayload:
    """Return the sealed bytes of the entry by which a payout left."""
    sent = Entry.objects.filter(kind="payout_sent", source_ref=f"payout:{payout_id}").select_related("leaf")
    entry = sent.first()
    if entry is None or not hasattr(entry, "leaf"):
        raise ReceiptNotReady("The entry of the payment is not sealed yet.", rule="sealed")
    found = LeafPayload.objects.filter(leaf=entry.leaf).select_related("leaf__salt").first()
    if found is None:
        raise NoReceipt("The entry of the payment was blacked out.", rule="redacted")
    return found


def _checkpoint(backend: evidence.Backend, index: int) -> tuple[Checkpoint, dict[str, Any] | None]:
    """Return the first checkpoint over a leaf that a block holds, or else the first, with its anchor."""
    over = Checkpoint.objects.select_related("seal").filter(seal__size__gt=index).order_by("seal__size")
    first = over.first()
    if first is None:
        raise ReceiptNotReady("No checkpoint covers the entry of the payment yet.", rule="sealed")
    for checkpoint in over[:TRIES]:
        found = backend.anchor(checkpoint)
        if found is not None:
            return checkpoint, {"beside": found.beside, "ots": base64.b64encode(found.ots).decode()}
    return first, None


def _entry(sealed: LeafPayload, payment_id: int, size: int) -> dict[str, Any]:
    salt, payload = bytes(sealed.leaf.salt.salt), bytes(sealed.payload)
    if not payload.endswith(b"\n"):
        raise NoReceipt("The entry was sealed in a form of which no line is shown alone.", rule="form")
    pieces = payload.split(b"\n")
    if not json.loads(pieces[0])["memo"]:
        raise NoReceipt("The entry was written before entries named what their txs spend.", rule="outpoint")
    # A line ends with the payment that it is about.
    ending = f',"{payment_id}"]'.encode()
    index = next((n for n, piece in enumerate(pieces) if piece.endswith(ending)), None)
    if index is None:
        raise NoReceipt("The entry has no line of the payment.", rule="wrong_line")
    heading, line = leaf.show(salt, payload, 0), leaf.show(salt, payload, index)
    path = tree.prove_inclusion(partial(store.read_from, connection), sealed.leaf_id, size)
    return {
        "heading": _piece(heading),
        "leaf": str(sealed.leaf_id),
        "line": _piece(line),
        "path": [step.hex() for step in path],
        "pieces": str(line.count),
        "size": str(size),
    }


def _piece(piece: leaf.Piece) -> dict[str, Any]:
    return {
        "index": str(piece.index),
        "path": [step.hex() for step in piece.path],
        "salt": piece.salt.hex(),
        "text": piece.data.decode(),
    }
