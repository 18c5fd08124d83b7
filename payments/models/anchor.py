"""Proofs of anchors: where in which block the tx lies that commits to a checkpoint of the books."""

from django.db import models
from django.db.models.functions import Now

from payments.models.payout import Payout


class AnchorProof(models.Model):
    """An anchor's place in one block: kept once it is final, because a pruned node forgets the block.

    ``header`` has 80 bytes. ``branch`` are the hashes from the txid up to the header's root, 33 bytes each: whether that
    hash is on the left (1) or not (0), and the hash in the order in which it is computed. A block that a reorganization
    takes away leaves its proof, which says nothing any more; the next block brings another.
    """

    payout = models.ForeignKey(Payout, on_delete=models.PROTECT, related_name="anchor_proofs")
    txid = models.CharField(max_length=64)
    block_hash = models.CharField(max_length=64)
    block_height = models.PositiveIntegerField()
    header = models.BinaryField(max_length=80)
    branch = models.BinaryField()
    found_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payout", "block_hash"], name="anchorproof_once"),
        ]

    def __str__(self) -> str:
        return f"{self.txid} in {self.block_hash}"
