"""Reconciliation runs and the breaks they found; nothing here is ever changed or deleted."""

from django.db import models

from ledger.models.entry import CurrentTransactionId, TransactionId


class RunStatus(models.TextChoices):
    """What a run may conclude; a source that is stale or silent never yields "clean"."""

    CLEAN = "clean", "Clean"
    BREAKS = "breaks", "Breaks"
    INCONCLUSIVE = "inconclusive", "Inconclusive"


class BreakKind(models.TextChoices):
    """What can differ between claims, books and blocks."""

    AMOUNT = "amount", "Another amount"
    PAYEE = "payee", "Another script on chain"
    FEE = "fee", "Another fee"
    SETTLEMENT = "settlement", "Booked as settled otherwise than it is"
    MISSING = "missing", "Not on chain although said to be"
    UNBOOKED = "unbooked", "Paid, not booked"
    PAYMENT_ONLY = "payment_only", "Claimed only: neither booked nor on chain"
    LEDGER_ONLY = "ledger_only", "Booked only: neither claimed nor on chain"
    ORPHAN_ENTRY = "orphan_entry", "Booked on the wallet for something that nobody knows"
    DUPLICATE_PAYMENT = "duplicate_payment", "Paid twice"
    DUPLICATE_BOOKING = "duplicate_booking", "Booked twice"
    UNAUTHORIZED_SPEND = "unauthorized_spend", "A tx of ours pays what nobody approved"
    UNKNOWN_IN = "unknown_in", "Coins received, not booked"
    UNKNOWN_OUT = "unknown_out", "Coins spent by a tx that is not ours"
    BALANCE = "balance", "Books and unspent coins differ"
    RATE = "rate", "Another rate"
    AUDIT_EVENT = "audit_event", "An audit event is not what was sealed"
    # Differences of time, which are breaks only once they last longer than anybody should wait.
    IN_FLIGHT = "in_flight", "Waits in the memory pool for too long"
    NOT_BROADCAST = "not_broadcast", "Signed, and not sent for too long"
    EVICTED = "evicted", "Sent, and in no memory pool for too long"
    REPLACED = "replaced", "Another version waits, or is in a block"
    REORGED_OUT = "reorged_out", "Its block left the chain"
    CUT_OFF = "cut_off", "Booked in another period, long after its block"
    STALE_SOURCE = "stale_source", "A source could not testify"


class ReconciliationRun(models.Model):
    """One comparison of claims, books and blocks at one block hash.

    ``counts`` is by outcome, differences of time too; ``break_count`` counts the breaks among them, of which people have
    explained ``explained_count``; for ``uncased_count`` there is no case yet, and the next runs open theirs. ``is_full``: it
    read everything; else what changed since ``previous``, the run whose watermarks it began at. Its own are the block and
    ``books_mark``, the database snapshot of the books that it read. ``digest`` is over what was found: a full run at the
    same facts gives the same.
    """

    scope = models.CharField(max_length=40)
    status = models.CharField(max_length=12, choices=RunStatus)
    reason = models.CharField(max_length=300, blank=True)
    is_full = models.BooleanField(default=True)
    previous = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    block_hash = models.CharField(max_length=64, blank=True)
    block_height = models.PositiveIntegerField(null=True)
    books_mark = models.TextField(blank=True)
    counts = models.JSONField(default=dict)
    totals = models.JSONField(default=dict)
    break_count = models.PositiveIntegerField(default=0)
    explained_count = models.PositiveIntegerField(default=0)
    uncased_count = models.PositiveIntegerField(default=0)
    digest = models.BinaryField(max_length=32)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    insert_xid = TransactionId(db_default=CurrentTransactionId(), editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["scope", "-id"], name="run_scope"),
            # The order in which the sealer takes runs.
            models.Index(fields=["insert_xid", "id"], name="run_written"),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.scope}: {self.status}"


class Break(models.Model):
    """One typed difference: what was expected and what was found, with the place where to look.

    ``unit`` is what it is about in the books' words: a payout, a payment, the source of entries, the wallet, or its coins.
    ``amount_sat`` is what the chain moves on the wallet more than the books, where it is a movement or a balance.
    """

    run = models.ForeignKey(ReconciliationRun, on_delete=models.PROTECT, related_name="breaks")
    kind = models.CharField(max_length=20, choices=BreakKind)
    unit = models.CharField(max_length=110, blank=True)
    amount_sat = models.BigIntegerField(null=True)
    payment_id = models.BigIntegerField(null=True)
    payout_id = models.BigIntegerField(null=True)
    txid = models.CharField(max_length=64, blank=True)
    vout = models.PositiveIntegerField(null=True)
    expected = models.CharField(max_length=200, blank=True)
    found = models.CharField(max_length=200, blank=True)
    message = models.CharField(max_length=300)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"
