"""What the public sector's bitcoin was at a block: scans of the utxo set, never changed or deleted (R-28, R-30)."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ledger.models.lot import MOST_SAT, SCOPE

HASH = r"^[0-9a-f]{64}$"


class Badge(models.TextChoices):
    """How a balance is known."""

    VERIFIED = "verified", "Verified in this node"
    DECLARED = "declared", "Declared only"


class ReserveScan(models.Model):
    """A look at the unspent outputs of all holdings at one block; ``block_at`` is the time in the block's header."""

    network = models.CharField(max_length=20)
    block_hash = models.CharField(max_length=64)
    height = models.PositiveIntegerField()
    block_at = models.DateTimeField()
    scanned_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(block_hash__regex=HASH), name="reservescan_block_hash"),
        ]

    def __str__(self) -> str:
        return f"Scan {self.pk} at block {self.height}"


class ReserveBalance(models.Model):
    """What an address held at a scan, and whose it is: the names are as they were then.

    ``scope`` is the institution in the books. A verified address has it in ``utxo_count`` outputs; of a declared one
    ``amount_sat`` is what was stated, and nobody counted. ``is_spent``: something of it was spent between scans;
    ``is_reused``: and it received since.
    """

    scan = models.ForeignKey(ReserveScan, on_delete=models.PROTECT, related_name="balances")
    scope = models.CharField(max_length=40)
    holding = models.CharField(max_length=60)
    holding_number = models.BigIntegerField()
    network = models.CharField(max_length=20)
    address = models.CharField(max_length=100)
    badge = models.CharField(max_length=8, choices=Badge)
    amount_sat = models.BigIntegerField()
    utxo_count = models.PositiveIntegerField(null=True)
    is_spent = models.BooleanField(default=False)
    is_reused = models.BooleanField(default=False)
    is_over_cap = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scan", "network", "address"], name="reservebalance_address_once"
            ),
            models.CheckConstraint(
                condition=Q(amount_sat__gte=0, amount_sat__lte=MOST_SAT, scope__regex=SCOPE),
                name="reservebalance_in_range",
            ),
            models.CheckConstraint(
                condition=Q(badge="verified", utxo_count__isnull=False)
                | Q(badge="declared", utxo_count=None, is_spent=False, is_reused=False),
                name="reservebalance_counted_if_verified",
            ),
            models.CheckConstraint(
                condition=Q(is_reused=False) | Q(is_spent=True), name="reservebalance_reused_after_a_spend"
            ),
        ]

    def __str__(self) -> str:
        return self.address


class ReserveCoin(models.Model):
    """An unspent output of a verified address at a scan; ``height`` is the block that holds its tx."""

    scan = models.ForeignKey(ReserveScan, on_delete=models.PROTECT, related_name="coins")
    address = models.CharField(max_length=100)
    txid = models.CharField(max_length=64)
    vout = models.PositiveIntegerField()
    amount_sat = models.BigIntegerField()
    height = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scan", "txid", "vout"], name="reservecoin_outpoint_once"),
            models.CheckConstraint(
                condition=Q(txid__regex=HASH, amount_sat__gte=0, amount_sat__lte=MOST_SAT),
                name="reservecoin_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"


class ReserveScanLoss(models.Model):
    """That a scan's block was not in the active chain when somebody looked: what it says is not what there was."""

    scan = models.OneToOneField(ReserveScan, on_delete=models.PROTECT, related_name="loss")
    found_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"loss of {self.scan_id}"
