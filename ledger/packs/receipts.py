"""Receipts: proof for one person that a payment was booked, sealed and paid, which shows nothing of anybody else's.

The books show one line of an entry, each piece under a salt of its own; the chain shows a tx that is public anyway. Of a
payment by bank or voucher the lines by which it left and arrived are all there is: it is proved that somebody said so.
"""

import base64
import json
from functools import partial
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef

from govpay.errors import Conflict
from ledger import verify
from ledger.exports.source import snapshot
from ledger.models import Checkpoint, Entry, LeafPayload, Posting
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
        elsewhere = backend.elsewhere(payment_id)
        said = (
            _in_bitcoin(backend, payment_id)
            if elsewhere is None
            else _elsewhere(backend, payment_id, elsewhere)
        )
        network = {"network": backend.network()}
        made = record.line({"format": FORMAT, "payment": str(payment_id), **network, **said})
    try:
        verify.check_receipt(made)
    except verify.Wrong as wrong:
        message = f"What is sealed does not prove the payment: {wrong.rule}"
        raise NoReceipt(message, rule=wrong.code) from wrong
    return made


def _in_bitcoin(backend: evidence.Backend, payment_id: int) -> dict[str, Any]:
    """Return what a receipt says of a payment in bitcoin, and of the trust that got it in the person's place."""
    output = backend.output(payment_id)
    if output is None:
        raise ReceiptNotReady("The payment is not buried in the chain yet.", rule="settled")
    found = [_sealed("payout_sent", f"payout:{output.payout_id}")]
    leg = backend.leg(payment_id)
    if leg is not None:
        sources = zip(("trust_owe", "trust_pay"), leg, strict=True)
        found += [_sealed(kind, source, payment_id) for kind, source in sources if source is not None]
    sealed, entries = _under_one(backend, found, payment_id)
    trust = None if leg is None else {"owed": entries[1], "paid": entries[2] if len(entries) > 2 else None}
    return {
        "amount_sat": str(output.amount_sat),
        "checkpoint": sealed,
        "entry": entries[0],
        "output": {
            "block_height": output.block_height,
            "branch": output.branch.hex(),
            "headers": [header.hex() for header in output.headers],
            "tx": output.tx.hex(),
        },
        "script_pubkey": output.script_pubkey.hex(),
        **({} if output.entitlement is None else {"entitlement": output.entitlement}),
        **({} if trust is None else {"trust": trust}),
    }


def _elsewhere(backend: evidence.Backend, payment_id: int, how: evidence.Elsewhere) -> dict[str, Any]:
    """Return what a receipt says of a payment by bank or voucher: how it left, and that it arrived."""
    if how.sent is None or how.settled is None:
        raise ReceiptNotReady("Nobody says yet that the payment has arrived.", rule="settled")
    found = [
        _sealed(kind, source, payment_id)
        for kind, source in (("rail_sent", how.sent), ("rail_settled", how.settled))
    ]
    sealed, (sent, settled) = _under_one(backend, found, payment_id)
    return {
        "amount_minor": str(how.amount_minor),
        "checkpoint": sealed,
        "rail": how.rail,
        "sent": sent,
        "settled": settled,
    }


def _under_one(
    backend: evidence.Backend, found: list[LeafPayload], payment_id: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a checkpoint over sealed entries, and what is shown of each."""
    checkpoint, anchor = _checkpoint(backend, max(sealed.leaf_id for sealed in found))
    said = {"anchor": anchor, "key": checkpoint.verifier, "note": checkpoint.note}
    return said, [_entry(sealed, payment_id, checkpoint.seal.size) for sealed in found]


def _sealed(kind: str, source: str, payment_id: int | None = None) -> LeafPayload:
    """Return the sealed bytes of the entry of a kind about a source, of several the one with a line of the payment."""
    entries = Entry.objects.filter(kind=kind, source_ref=source).select_related("leaf")
    if payment_id is not None:
        lines = Posting.objects.filter(entry=OuterRef("pk"), reference=payment_id)
        entries = entries.filter(Exists(lines))
    entry = entries.first()
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
    said = json.loads(pieces[0])
    if said["kind"] == "payout_sent" and not said["memo"]:
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
