"""Journal entries and their postings; nothing here is ever changed or deleted."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from ledger.models.account import Account


class TransactionId(models.BigIntegerField):  # type: ignore[type-arg]
    """The database transaction that wrote the row (xid8), for the sealer that reads only finished ones."""

    def db_type(self, connection: object) -> str:
        return "xid8"

    def from_db_value(self, value: str | None, expression: object, connection: object) -> int | None:
        """Read the number, which the driver leaves as text."""
        return None if value is None else int(value)

    def get_db_prep_value(self, value: int | None, connection: object, prepared: bool = False) -> str | None:
        """Write it as text, because no number is an xid8."""
        return None if value is None else str(value)


class CurrentTransactionId(models.Func):
    """PostgreSQL's pg_current_xact_id()."""

    function = "pg_current_xact_id"
    output_field = TransactionId()


class Layer(models.TextChoices):
    """How far a line has come; each layer of an entry balances by itself."""

    SETTLED = "settled", "Settled"  # It happened: what a balance is unless it says otherwise.
    PENDING = "pending", "Pending"  # It began, and is posted or dropped later.
    ENCUMBERED = "encumbered", "Encumbered"  # It is promised, and is spent or released later.


class Entry(models.Model):
    """A journal entry. ``input_hash`` is the SHA-256 of what was posted under its idempotency key.

    ``effective_at`` is the time under which it counts, ``recorded_at`` the one at which it was written, and
    ``original_at``, where it differs, the one at which the fact happened: a late fact counts from the first moment that
    was still open. ``reversal_of`` is what it undoes: an entry is reversed, or its pending or encumbered lines are
    settled or dropped, by one other entry at most.
    """

    kind = models.CharField(max_length=30)
    scope = models.CharField(max_length=40)
    idempotency_key = models.CharField(max_length=200, unique=True)
    input_hash = models.BinaryField(max_length=32)
    effective_at = models.DateTimeField()
    original_at = models.DateTimeField(null=True)
    recorded_at = models.DateTimeField(db_default=Now())
    memo = models.CharField(max_length=300, blank=True)
    reversal_of = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="reversed_by"
    )
    source_ref = models.CharField(max_length=100, blank=True)
    actor = models.CharField(max_length=150, blank=True)
    approver = models.CharField(max_length=150, blank=True)
    block_hash = models.CharField(max_length=64, blank=True)
    block_height = models.PositiveIntegerField(null=True)
    insert_xid = TransactionId(db_default=CurrentTransactionId(), editable=False)

    class Meta:
        verbose_name_plural = "entries"
        constraints = [
            models.CheckConstraint(condition=~Q(actor=""), name="entry_names_its_actor"),
            models.CheckConstraint(condition=~Q(approver=F("actor")), name="entry_approver_is_another"),
            models.CheckConstraint(
                condition=Q(original_at=None) | Q(original_at__lt=F("effective_at")),
                name="entry_original_is_earlier",
            ),
            models.CheckConstraint(
                condition=Q(block_hash="", block_height=None)
                | Q(block_hash__regex="^[0-9a-f]{64}$", block_height__isnull=False),
                name="entry_block_is_whole",
            ),
        ]
        indexes = [
            models.Index(fields=["scope", "id"], name="entry_scope"),
            models.Index(fields=["source_ref"], name="entry_source"),
            # The order in which the sealer takes entries.
            models.Index(fields=["insert_xid", "id"], name="entry_written"),
        ]

    def __str__(self) -> str:
        return f"entry {self.pk} ({self.kind})"


class Posting(models.Model):
    """A line of an entry in one layer: signed whole units of the account's currency, never zero. Debits are positive.

    ``reference`` is the payment that the line is about, where it is about one. That entry and account exist is checked by
    the trigger that balances, a statement at a time; foreign keys, a row at a time, took more than half of all time.
    """

    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="postings", db_constraint=False)
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="postings", db_index=False, db_constraint=False
    )
    amount = models.BigIntegerField()
    reference = models.BigIntegerField(null=True)
    layer = models.CharField(max_length=10, choices=Layer, db_default=Layer.SETTLED)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(amount=0), name="posting_not_zero"),
            models.CheckConstraint(condition=Q(layer__in=Layer.values), name="posting_layer_is_known"),
        ]
        indexes = [
            models.Index(fields=["account", "entry"], include=["amount", "layer"], name="posting_balance"),
            models.Index(
                fields=["reference"], condition=Q(reference__isnull=False), name="posting_reference"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.amount}"
