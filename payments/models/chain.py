"""What blocks say: the active chain as far as it was read, facts about our txs, and our coins."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from payments.models.wallet import Wallet


class Block(models.Model):
    """A block that was read. Exactly one is active at each height; a reorganization deactivates, never deletes.

    ``header`` has its 80 bytes; blocks that were read before these were kept have none.

    ``is_derived``: while it was the tip, statuses were derived from the facts; until then they may be behind.
    """

    block_hash = models.CharField(max_length=64, unique=True)
    prev_hash = models.CharField(max_length=64)
    header = models.BinaryField(max_length=80, null=True)
    height = models.PositiveIntegerField()
    time = models.DateTimeField()
    is_active = models.BooleanField(default=True)
    is_derived = models.BooleanField(default=False)
    read_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["height"], condition=Q(is_active=True), name="block_one_active_per_height"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.height} {self.block_hash}"


class ChainFactKind(models.TextChoices):
    """What happened to a tx."""

    MINED = "mined", "Mined"
    UNMINED = "unmined", "Unmined"


class ChainFact(models.Model):
    """An append-only fact: at this block, this tx of ours (or paying us) was mined, or taken back."""

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=10, choices=ChainFactKind)
    txid = models.CharField(max_length=64)
    block_hash = models.CharField(max_length=64, db_index=True)
    block_height = models.PositiveIntegerField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["txid", "-id"], name="chainfact_latest")]

    def __str__(self) -> str:
        return f"{self.txid} {self.kind} at {self.block_height}"


class Coin(models.Model):
    """An output of ours on the active chain, and the tx in a block that spent it, if one did."""

    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="coins", db_index=False)
    txid = models.CharField(max_length=64)
    vout = models.PositiveIntegerField()
    amount_sat = models.BigIntegerField()
    script_pubkey = models.BinaryField(max_length=34)
    is_coinbase = models.BooleanField()
    block_hash = models.CharField(max_length=64, db_index=True)
    block_height = models.PositiveIntegerField()
    # The journal entry that booked it, if it is a deposit.
    funding_entry_id = models.BigIntegerField(null=True)
    spent_by_txid = models.CharField(max_length=64, null=True)
    spent_block_hash = models.CharField(max_length=64, null=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["txid", "vout"], name="coin_once")]
        indexes = [
            models.Index(
                fields=["wallet", "-amount_sat"],
                condition=Q(spent_by_txid__isnull=True),
                name="coin_unspent",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"


class NodeStatus(models.Model):
    """The last look at the node, one row: what screens show when it is down, on another chain or behind.

    ``ok_at``: when a look last found nothing wrong; before the first such look, when it was first looked for.
    """

    network = models.CharField(max_length=10, unique=True)
    is_ok = models.BooleanField()
    code = models.CharField(max_length=40, blank=True)
    message = models.CharField(max_length=300, blank=True)
    subversion = models.CharField(max_length=100, blank=True)
    block_hash = models.CharField(max_length=64, blank=True)
    block_height = models.PositiveIntegerField(null=True)
    checked_at = models.DateTimeField(auto_now=True)
    ok_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "node status"

    def __str__(self) -> str:
        return f"{self.network}: {'ok' if self.is_ok else self.code}"


class MempoolLook(models.Model):
    """A look at the node's memory pool: how full it is, the least feerate that it takes, and what it expects at targets.

    A feerate is None where the node had no estimate, or one that is insane. Looks are kept for two days.
    """

    at = models.DateTimeField(default=timezone.now, db_index=True)
    tx_count = models.PositiveIntegerField()
    vsize_vb = models.PositiveBigIntegerField()
    least_sat_kvb = models.PositiveIntegerField()
    next_sat_kvb = models.PositiveIntegerField(null=True)
    hour_sat_kvb = models.PositiveIntegerField(null=True)
    day_sat_kvb = models.PositiveIntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.tx_count} txs at {self.at}"
