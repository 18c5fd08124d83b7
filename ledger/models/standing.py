"""Where reconciliation stands: what it has read and found so far, so that the next run reads only what changed.

All of this can be thrown away: a full run reads it anew. None of it is proof; runs are.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ledger.models.reconciliation import ReconciliationRun


class Standing(models.Model):
    """The watermarks of a scope, and sums up to them: the block, the snapshot of the books, and whose cluster counted it."""

    scope = models.CharField(max_length=40, unique=True)
    run = models.ForeignKey(ReconciliationRun, null=True, on_delete=models.PROTECT, related_name="+")
    block_height = models.IntegerField(null=True)
    block_hash = models.CharField(max_length=64, blank=True)
    books_mark = models.TextField(blank=True)
    cluster = models.BigIntegerField(default=0)
    entry_count = models.BigIntegerField(default=0)
    booked_sat = models.BigIntegerField(default=0)
    unspent_sat = models.BigIntegerField(default=0)
    unspent_count = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"standing of {self.scope}"


class RunUnderWay(models.Model):
    """A run that is not stored yet, and how far it is: so many of so many, zeros where nobody counts.

    It was heard of at ``seen_at``; while it compares it says nothing, and where its process died the row stays for a day.
    """

    scope = models.CharField(max_length=40)
    is_full = models.BooleanField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_default=Now())
    step = models.CharField(max_length=100, blank=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"run of {self.scope} under way"


class ReadBlock(models.Model):
    """A block that was read for a scope."""

    pk = models.CompositePrimaryKey("standing", "height")
    standing = models.ForeignKey(Standing, on_delete=models.CASCADE, db_constraint=False, db_index=False)
    height = models.IntegerField()
    block_hash = models.CharField(max_length=64)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.height} {self.block_hash}"


class ReadTx(models.Model):
    """A tx in a block that pays the scope's wallet or spends from it."""

    pk = models.CompositePrimaryKey("standing", "txid")
    standing = models.ForeignKey(Standing, on_delete=models.CASCADE, db_constraint=False, db_index=False)
    txid = models.CharField(max_length=64)
    block_height = models.IntegerField()
    input_count = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["standing", "block_height"], name="readtx_height")]

    def __str__(self) -> str:
        return self.txid


class ReadOutput(models.Model):
    """An output of such a tx; those of others only where the tx spends from the wallet."""

    pk = models.CompositePrimaryKey("standing", "txid", "vout")
    standing = models.ForeignKey(Standing, on_delete=models.CASCADE, db_constraint=False, db_index=False)
    txid = models.CharField(max_length=64)
    vout = models.IntegerField()
    script_pubkey = models.BinaryField()
    amount_sat = models.BigIntegerField()
    is_ours = models.BooleanField()
    is_spent = models.BooleanField(db_default=False)

    class Meta:
        indexes = [
            models.Index(
                fields=["standing", "txid"],
                condition=Q(is_ours=True, is_spent=False),
                name="readoutput_coins",
            )
        ]

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"


class ReadSpend(models.Model):
    """A coin of the wallet (``from_txid``, ``from_vout``) that such a tx spends."""

    pk = models.CompositePrimaryKey("standing", "from_txid", "from_vout")
    standing = models.ForeignKey(Standing, on_delete=models.CASCADE, db_constraint=False, db_index=False)
    from_txid = models.CharField(max_length=64)
    from_vout = models.IntegerField()
    txid = models.CharField(max_length=64)
    amount_sat = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["standing", "txid"], name="readspend_spender")]

    def __str__(self) -> str:
        return f"{self.from_txid}:{self.from_vout}"


class Outcome(models.Model):
    """How often an outcome occurred in a unit: a payout, a payment that only the books know, or a source of entries.

    What is open is looked at again by every run; what is not only when something of the unit changes.
    """

    pk = models.CompositePrimaryKey("standing", "unit", "outcome")
    standing = models.ForeignKey(Standing, on_delete=models.CASCADE, db_constraint=False, db_index=False)
    unit = models.CharField(max_length=110)
    outcome = models.CharField(max_length=20)
    count = models.BigIntegerField()
    amount_sat = models.BigIntegerField()
    is_open = models.BooleanField()

    class Meta:
        indexes = [models.Index(fields=["standing", "unit"], condition=Q(is_open=True), name="outcome_open")]

    def __str__(self) -> str:
        return f"{self.unit}: {self.outcome}"
