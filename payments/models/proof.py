"""Proofs of inclusion: where in which block a payout's tx lies."""

from django.db import models
from django.db.models.functions import Now

from payments.models.payout import Payout


class InclusionProof(models.Model):
    """A payout's place in one block: kept once it is final, because a pruned node forgets the block.

    ``header`` has 80 bytes. ``branch`` are the hashes from the txid up to the header's root, 33 bytes each: whether that
    hash is on the left (1) or not (0), and the hash in the order in which it is computed. A block that a reorganization
    takes away leaves its proof, which says nothing any more; the next block brings another.
    """

    payout = models.ForeignKey(Payout, on_delete=models.PROTECT, related_name="inclusion_proofs")
    txid = models.CharField(max_length=64)
    block_hash = models.CharField(max_length=64)
    block_height = models.PositiveIntegerField()
    header = models.BinaryField(max_length=80)
    branch = models.BinaryField()
    found_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payout", "block_hash"], name="inclusionproof_once"),
        ]

    def __str__(self) -> str:
        return f"{self.txid} in {self.block_hash}"

    @property
    def steps(self) -> list[tuple[bool, bytes]]:
        """The branch from the txid up: each other hash, and whether it is on the left."""
        raw = bytes(self.branch)
        return [(raw[start] == 1, raw[start + 1 : start + 33]) for start in range(0, len(raw), 33)]
