"""Keeps where in its block each final payout lies, so that anybody can be shown it when the node has forgotten the block."""

from django.db.models import Exists, F, OuterRef, QuerySet

from payments.models import Block, InclusionProof, Payout
from payments.onchain import block, node
from payments.states import PayoutStatus

# How often the sweep looks for what lacks a proof.
EVERY_S = 30
FINAL = (PayoutStatus.SETTLED, PayoutStatus.VOIDED)


def unproved() -> QuerySet[Block]:
    """Return the blocks with final payouts whose place in them is not kept yet."""
    return Block.objects.filter(
        is_active=True, block_hash__in=_unproved().order_by().values("mined_block_hash")
    ).order_by("height")


def keep(block_id: int, client: node.Node) -> None:
    """Keep where in a block its final payouts lie, all with one look at it. Harmless to repeat.

    Raises NodeError, and what it raises where the node pruned the block.
    """
    where = Block.objects.get(pk=block_id)
    rows = _unproved().filter(mined_block_hash=where.block_hash).values_list("pk", "mined_txid")
    payouts = {pk: txid for pk, txid in rows if txid is not None}
    if not payouts:
        return
    raw = client.raw_block(where.block_hash)
    txids = [found.txid for found in block.parse(raw, block_hash=where.block_hash).txs]
    branches = block.branches(txids, set(payouts.values()))
    InclusionProof.objects.bulk_create(
        (
            InclusionProof(
                payout_id=pk,
                txid=txid,
                block_hash=where.block_hash,
                block_height=where.height,
                header=raw[: block.HEADER_BYTES],
                branch=b"".join(bytes([left]) + other for left, other in branches[txid]),
            )
            for pk, txid in payouts.items()
        ),
        ignore_conflicts=True,
    )


def of(payout: Payout) -> InclusionProof | None:
    """Return the place of a final payout in the block that holds it now; None until it is final and its place kept."""
    if payout.status not in FINAL:
        return None
    return InclusionProof.objects.filter(payout=payout, block_hash=payout.mined_block_hash).first()


def final() -> QuerySet[InclusionProof]:
    """Return the places of all final payouts in the blocks that hold them now."""
    return InclusionProof.objects.filter(block_hash=F("payout__mined_block_hash"), payout__status__in=FINAL)


def _unproved() -> QuerySet[Payout]:
    kept = InclusionProof.objects.filter(payout=OuterRef("pk"), block_hash=OuterRef("mined_block_hash"))
    return Payout.objects.filter(~Exists(kept), status__in=FINAL, mined_txid__isnull=False)
