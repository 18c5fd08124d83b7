"""Reconciliation runs and the breaks they found."""

from django.db import models


class RunStatus(models.TextChoices):
    """What a run may conclude; a source that is stale or silent never yields "clean"."""

    CLEAN = "clean", "Clean"
    BREAKS = "breaks", "Breaks"
    INCONCLUSIVE = "inconclusive", "Inconclusive"


class BreakKind(models.TextChoices):
    """What can differ between claims, books and blocks."""

    AMOUNT = "amount", "Another amount on chain"
    PAYEE = "payee", "Another script on chain"
    MISSING = "missing", "Not on chain although said to be"
    EXTRA = "extra", "An output that nobody claims"
    UNBOOKED = "unbooked", "Paid on chain, not booked"
    LEDGER_ONLY = "ledger_only", "Booked, claimed by nobody"
    UNKNOWN_IN = "unknown_in", "Coins received, not booked"
    UNKNOWN_OUT = "unknown_out", "Coins spent by a tx that is not ours"
    FEE = "fee", "Another fee on chain"
    BALANCE = "balance", "Books and unspent coins differ"


class ReconciliationRun(models.Model):
    """One comparison of claims, books and blocks at one block hash; ``counts`` is by outcome, payments in flight too."""

    scope = models.CharField(max_length=40)
    status = models.CharField(max_length=12, choices=RunStatus)
    reason = models.CharField(max_length=300, blank=True)
    block_hash = models.CharField(max_length=64, blank=True)
    block_height = models.PositiveIntegerField(null=True)
    counts = models.JSONField(default=dict)
    totals = models.JSONField(default=dict)
    digest = models.BinaryField(max_length=32)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["scope", "-id"], name="run_scope")]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.scope}: {self.status}"

    @property
    def break_count(self) -> int:
        """How many breaks it counted; it may have stored fewer."""
        return sum(int(self.counts.get(kind, 0)) for kind in BreakKind.values)


class Break(models.Model):
    """One typed difference: what was expected and what was found, with the place where to look."""

    run = models.ForeignKey(ReconciliationRun, on_delete=models.PROTECT, related_name="breaks")
    kind = models.CharField(max_length=12, choices=BreakKind)
    payment_id = models.BigIntegerField(null=True)
    payout_id = models.BigIntegerField(null=True)
    txid = models.CharField(max_length=64, blank=True)
    vout = models.PositiveIntegerField(null=True)
    expected = models.CharField(max_length=200, blank=True)
    found = models.CharField(max_length=200, blank=True)
    message = models.CharField(max_length=300)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"
