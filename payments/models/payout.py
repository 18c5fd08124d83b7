"""Payouts: sealed groups of payments, the signed versions of their tx, and the outpoints they reserve."""

from django.db import models
from django.db.models import Q

from payments.models.disbursement import Disbursement
from payments.models.history import Tracked
from payments.models.wallet import Wallet
from payments.states import PayoutStatus


class Payout(Tracked):
    """A group that one tx pays. Every tx ever signed for it spends the anchor outpoint, so at most one confirms.

    ``lease_token`` fences: a worker that lost its lease matches no row. ``problem`` says why it waits or is frozen.
    """

    status_subject = "payout"

    disbursement = models.ForeignKey(Disbursement, on_delete=models.PROTECT, related_name="payouts")
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="payouts")
    status = models.CharField(
        max_length=10, choices=PayoutStatus, default=PayoutStatus.SEALED, editable=False
    )
    payment_count = models.PositiveIntegerField()
    payments_sat = models.BigIntegerField()
    manifest_hash = models.BinaryField(max_length=32)
    anchor_txid = models.CharField(max_length=64)
    anchor_vout = models.PositiveIntegerField()
    unsigned_tx = models.BinaryField()
    txid = models.CharField(max_length=64)
    fee_sat = models.BigIntegerField()
    change_sat = models.BigIntegerField()
    change_vout = models.PositiveIntegerField(null=True)
    change_script_pubkey = models.BinaryField(max_length=34, null=True)
    vsize_vb = models.PositiveIntegerField()
    feerate_sat_kvb = models.PositiveIntegerField()
    lease_token = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=300, blank=True)
    # Where the facts say that its tx is now; set with the fact itself, empty while no active block holds it.
    mined_txid = models.CharField(max_length=64, null=True)
    mined_block_hash = models.CharField(max_length=64, null=True)
    mined_height = models.PositiveIntegerField(null=True)
    # The journal entry that cleared it, while it is settled.
    settlement_entry_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["txid"], condition=~Q(status=PayoutStatus.UNSEALED), name="payout_txid_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=~Q(status__in=[PayoutStatus.SETTLED, PayoutStatus.UNSEALED]),
                name="payout_open",
            ),
            models.Index(fields=["status", "mined_height"], name="payout_depth"),
        ]

    def __str__(self) -> str:
        return f"payout {self.pk}"


class PayoutTx(models.Model):
    """One signed version of a payout, byte for byte; stored before any node sees it."""

    payout = models.ForeignKey(Payout, on_delete=models.PROTECT, related_name="txs")
    txid = models.CharField(max_length=64, unique=True)
    raw = models.BinaryField()
    fee_sat = models.BigIntegerField()
    vsize_vb = models.PositiveIntegerField()
    signed_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.txid


class Reservation(models.Model):
    """An outpoint that a payout spends; no outpoint is in two live reservations (I9)."""

    payout = models.ForeignKey(Payout, on_delete=models.PROTECT, related_name="reservations")
    position = models.PositiveIntegerField()
    txid = models.CharField(max_length=64)
    vout = models.PositiveIntegerField()
    amount_sat = models.BigIntegerField()
    script_pubkey = models.BinaryField(max_length=34)
    is_live = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["txid", "vout"], condition=Q(is_live=True), name="reservation_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"
