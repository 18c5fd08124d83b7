"""Payouts: sealed groups of payments, the versions of their tx, and the outpoints they reserve."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from ledger.models import Checkpoint
from payments.models.disbursement import Disbursement
from payments.models.history import Tracked
from payments.models.wallet import Wallet
from payments.states import PAYOUT_CLOSED, PayoutStatus


class PayoutKind(models.TextChoices):
    """What a payout is for. Those without payments move our own coins, by the same protocol."""

    PAYMENTS = "payments", "Payments"
    CHILD = "child", "Fee for a parent"  # Spends a stuck payout's change, so that both confirm (CPFP).
    CONSOLIDATION = "consolidation", "Consolidation"  # Merges small coins while fees are low.
    ANCHOR = "anchor", "Anchor"  # Writes the hash of a checkpoint of the books into the chain.


class Payout(Tracked):
    """A group that one tx pays. Every tx ever signed for it spends the anchor outpoint, so at most one confirms.

    ``current`` is its newest version. ``lease_token`` fences: a worker that lost its lease matches no row.
    ``problem`` says why it waits or is frozen. ``booked_fee_sat`` is the fee that the books hold for it.
    """

    status_subject = "payout"
    program_path = "wallet__program_id"

    kind = models.CharField(max_length=15, choices=PayoutKind, default=PayoutKind.PAYMENTS)
    disbursement = models.ForeignKey(
        Disbursement, null=True, on_delete=models.PROTECT, related_name="payouts"
    )
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    # What an anchor commits to; a checkpoint has one anchor, and another only in the place of one that is void.
    checkpoint = models.ForeignKey(Checkpoint, null=True, on_delete=models.PROTECT, related_name="anchors")
    repeats = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="repeated_by")
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="payouts")
    status = models.CharField(
        max_length=10, choices=PayoutStatus, default=PayoutStatus.SEALED, editable=False
    )
    payment_count = models.PositiveIntegerField()
    payments_sat = models.BigIntegerField()
    # What its people are entitled to, where that is money.
    payments_minor = models.BigIntegerField(null=True)
    manifest_hash = models.BinaryField(max_length=32)
    anchor_txid = models.CharField(max_length=64)
    anchor_vout = models.PositiveIntegerField()
    current = models.OneToOneField("PayoutTx", null=True, on_delete=models.PROTECT, related_name="+")
    booked_fee_sat = models.BigIntegerField(default=0)
    adjustments = models.PositiveIntegerField(default=0)
    # Which of its wallet's payouts it was that went to a signer; given before the commit point, and noted with the node.
    claim_number = models.PositiveBigIntegerField(null=True)
    lease_token = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    # Failures in a row, and how often in a row a node had its bytes when they were offered: both stretch the delays.
    attempts = models.PositiveIntegerField(default=0)
    offers = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=300, blank=True)
    # The height of the chain when its newest version was first accepted: a bump is due some blocks later.
    sent_height = models.PositiveIntegerField(null=True)
    # Where the facts say that its tx is now; set with the fact itself, empty while no active block holds it.
    mined_txid = models.CharField(max_length=64, null=True)
    mined_block_hash = models.CharField(max_length=64, null=True, db_index=True)
    mined_height = models.PositiveIntegerField(null=True)
    # The journal entry that cleared it, while it is settled; while it is void, the one that took it back, and the one
    # that took it out of what its list owes.
    settlement_entry_id = models.BigIntegerField(null=True)
    void_entry_id = models.BigIntegerField(null=True)
    release_entry_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind=PayoutKind.PAYMENTS, disbursement__isnull=False, payment_count__gt=0)
                | (~Q(kind=PayoutKind.PAYMENTS) & Q(disbursement__isnull=True, payment_count=0)),
                name="payout_payments_of_list",
            ),
            models.CheckConstraint(
                condition=Q(kind=PayoutKind.ANCHOR, checkpoint__isnull=False)
                | (~Q(kind=PayoutKind.ANCHOR) & Q(checkpoint__isnull=True)),
                name="payout_anchors_a_checkpoint",
            ),
            models.UniqueConstraint(
                fields=["checkpoint"],
                condition=~Q(status=PayoutStatus.UNSEALED) & Q(repeats=None),
                name="payout_one_anchor",
            ),
            models.UniqueConstraint(
                fields=["repeats"],
                condition=~Q(status=PayoutStatus.UNSEALED) & Q(repeats__isnull=False),
                name="payout_repeated_once",
            ),
            models.CheckConstraint(
                condition=Q(repeats=None) | Q(kind=PayoutKind.ANCHOR), name="payout_repeats_an_anchor"
            ),
        ]
        indexes = [
            models.Index(fields=["wallet", "claim_number"], name="payout_claim"),
            models.Index(fields=["id"], condition=~Q(status__in=PAYOUT_CLOSED), name="payout_open"),
            models.Index(fields=["status", "mined_height"], name="payout_depth"),
        ]

    def __str__(self) -> str:
        return f"payout {self.pk}"


# A child whose parent is in a block as another version: the coin that it spends does not exist there.
IS_ORPHAN = Q(parent__mined_txid__isnull=False) & ~Q(parent__mined_txid=F("anchor_txid"))


class PayoutTxKind(models.TextChoices):
    """Why this version was built."""

    ORIGINAL = "original", "Original"
    BUMP = "bump", "Fee bump"  # The same payments, every input of the versions before it, a higher fee.
    VOID = "void", "Void"  # Pays nobody: takes the anchor back to ourselves.


class PayoutTx(models.Model):
    """One version of a payout's tx. Its txid is known before anybody signs, because all inputs are native segwit.

    ``raw`` is empty until the signed bytes are stored, which is before any node sees them. Outputs are the payments in
    the order of their ``vout``, then the change. ``fee_added_sat`` is what it costs more than the version before it.
    """

    payout = models.ForeignKey(Payout, on_delete=models.PROTECT, related_name="txs")
    kind = models.CharField(max_length=10, choices=PayoutTxKind, default=PayoutTxKind.ORIGINAL)
    txid = models.CharField(max_length=64, db_index=True)
    unsigned_tx = models.BinaryField()
    raw = models.BinaryField(null=True)
    fee_sat = models.BigIntegerField()
    fee_added_sat = models.BigIntegerField()
    change_sat = models.BigIntegerField()
    vsize_vb = models.PositiveIntegerField()
    feerate_sat_kvb = models.PositiveIntegerField()
    # On the database's clock, by which a day's fees are counted.
    built_at = models.DateTimeField(db_default=Now(), editable=False)
    signed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["txid"], condition=Q(raw__isnull=False), name="payouttx_signed_once"
            ),
        ]
        indexes = [
            models.Index(fields=["built_at"], name="payouttx_built"),
            models.Index(fields=["payout"], condition=Q(kind="void"), name="payouttx_voids"),
        ]

    def __str__(self) -> str:
        return self.txid


class ChangeOutput(models.Model):
    """An output of a version that pays ourselves."""

    version = models.ForeignKey(PayoutTx, on_delete=models.PROTECT, related_name="change")
    vout = models.PositiveIntegerField()
    amount_sat = models.BigIntegerField()
    script_pubkey = models.BinaryField(max_length=34)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "vout"], name="changeoutput_once")]

    def __str__(self) -> str:
        return f"{self.version_id}:{self.vout}"


class Reservation(models.Model):
    """An outpoint that a payout spends; no outpoint is in two live reservations (I9). The anchor has position 0.

    Those of the original are in every version that pays; one that was added by a bump is not.
    """

    payout = models.ForeignKey(Payout, on_delete=models.PROTECT, related_name="reservations")
    position = models.PositiveIntegerField()
    txid = models.CharField(max_length=64)
    vout = models.PositiveIntegerField()
    amount_sat = models.BigIntegerField()
    script_pubkey = models.BinaryField(max_length=34)
    is_original = models.BooleanField(default=True)
    is_live = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["txid", "vout"], condition=Q(is_live=True), name="reservation_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["payout"], condition=Q(is_live=True, is_original=False), name="reservation_added"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"
