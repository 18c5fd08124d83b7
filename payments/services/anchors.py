"""Anchors of checkpoints, as files that prove them without us."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db.models import OuterRef, Subquery

from govpay.errors import Conflict, NotFound
from ledger.models import Checkpoint
from ledger.packs.evidence import Place
from ledger.seals import checkpoints, ots
from payments.models import InclusionProof, PayoutTx
from payments.onchain import network
from payments.payout import anchor, proofs
from payments.states import PayoutStatus

AT_ONCE = 100


class NotAnchored(Conflict):
    """No final block holds the checkpoint's hash yet."""

    code = "not_anchored"


class Exported(NamedTuple):
    """A checkpoint's note, the ``.ots`` proof of that file, and what stands beside it, for a JSON file."""

    size: int
    note: str
    ots: bytes
    beside: dict[str, Any]


def export(*, size: int | None = None) -> Exported:
    """Return the files of the checkpoint over so many entries, or of the newest one that a final block holds.

    Raises NotFound, and NotAnchored.
    """
    if size is not None:
        candidates = [checkpoints.get(size)]
    else:
        rows = Checkpoint.objects.filter(anchors__inclusion_proofs__isnull=False).select_related("seal")
        candidates = list(rows.distinct().order_by("-seal__size"))
    for checkpoint in candidates:
        found = proved(checkpoint)
        if found is not None:
            return found
    if size is None and not Checkpoint.objects.exists():
        raise NotFound("There is no checkpoint yet.")
    raise NotAnchored("No block, as deep as the program asks, holds the checkpoint's hash yet.", size=size)


def proved(checkpoint: Checkpoint) -> Exported | None:
    """Return a checkpoint's files, or None while no final block holds its hash."""
    found = anchor.proof_of(checkpoint)
    if found is None:
        return None
    proof, version = found
    return _export(checkpoint, proof, bytes(version.unsigned_tx))


def all_proved() -> Iterator[Exported]:
    """Yield the files of all checkpoints whose hash a final block holds, by size, with one statement."""
    version = PayoutTx.objects.filter(payout=OuterRef("payout"), txid=OuterRef("txid"))
    rows = (
        proofs.final()
        .filter(payout__checkpoint__isnull=False, payout__status=PayoutStatus.SETTLED)
        .annotate(tx=Subquery(version.values("unsigned_tx")[:1]))
        .select_related("payout__checkpoint__seal")
        .order_by("payout__checkpoint__seal__size")
    )
    for proof in rows.iterator(chunk_size=AT_ONCE):
        checkpoint = proof.payout.checkpoint
        assert checkpoint is not None
        yield _export(checkpoint, proof, bytes(proof.tx))


def places(checkpoint_ids: list[int]) -> dict[int, Place]:
    """Return which final blocks hold the hashes of checkpoints, by checkpoint, with one statement."""
    rows = proofs.final().filter(payout__checkpoint__in=checkpoint_ids, payout__status=PayoutStatus.SETTLED)
    found: Any = rows.values_list("payout__checkpoint", "payout", "txid", "block_height", "block_hash")
    return {number: Place(*place) for number, *place in found}


def _export(checkpoint: Checkpoint, proof: InclusionProof, tx: bytes) -> Exported:
    buried = ots.Buried(tx, proof.steps, proof.block_height)
    return Exported(
        size=checkpoint.seal.size,
        note=checkpoint.note,
        ots=ots.serialize(checkpoints.digest(checkpoint), buried),
        # An .ots file says "Bitcoin" and a height, of whatever network; the header says which block it is.
        beside={
            "network": network.current().value,
            "block_hash": proof.block_hash,
            "block_height": proof.block_height,
            "header": bytes(proof.header).hex(),
            "txid": proof.txid,
            "tx": tx.hex(),
        },
    )
