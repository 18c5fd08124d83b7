"""Seals: the leaves of the Merkle tree over entries, runs and acts, its heads, signed checkpoints; none is ever changed."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from ledger.models.audit import AuditEvent
from ledger.models.entry import Entry, TransactionId
from ledger.models.period import PeriodChange
from ledger.models.reconciliation import ReconciliationRun


class Leaf(models.Model):
    """The place of an entry, a run, a period's change or an audit event in the tree, and its salted hash; the first is 0.

    No foreign key in the database: its check would write a lock into every entry, which the books do not need, because
    entries, runs, changes and events are never deleted. What entries do not have costs them no index.
    """

    index = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(
        Entry, null=True, on_delete=models.PROTECT, related_name="leaf", db_constraint=False
    )
    run = models.OneToOneField(
        ReconciliationRun, null=True, on_delete=models.PROTECT, related_name="leaf", db_constraint=False
    )
    period_change = models.OneToOneField(
        PeriodChange, null=True, on_delete=models.PROTECT, related_name="leaf", db_constraint=False
    )
    event = models.ForeignKey(
        AuditEvent,
        null=True,
        on_delete=models.PROTECT,
        related_name="leaves",
        db_constraint=False,
        db_index=False,
    )
    hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(entry__isnull=False, run=None, period_change=None, event=None)
                | Q(entry=None, run__isnull=False, period_change=None, event=None)
                | Q(entry=None, run=None, period_change__isnull=False, event=None)
                | Q(entry=None, run=None, period_change=None, event__isnull=False),
                name="leaf_is_of_one",
            ),
            models.UniqueConstraint(
                fields=["event"], condition=Q(event__isnull=False), name="leaf_of_event_once"
            ),
        ]

    def __str__(self) -> str:
        return f"leaf {self.index}"


class LeafPayload(models.Model):
    """The canonical bytes that were sealed: kept as they were hashed, never computed anew."""

    leaf = models.OneToOneField(
        Leaf, primary_key=True, on_delete=models.PROTECT, related_name="payload", db_constraint=False
    )
    payload = models.BinaryField()

    def __str__(self) -> str:
        return f"payload of leaf {self.leaf_id}"


class LeafSalt(models.Model):
    """The salt of a leaf, apart from its bytes: whoever is shown one leaf learns nothing about another."""

    leaf = models.OneToOneField(
        Leaf, primary_key=True, on_delete=models.PROTECT, related_name="salt", db_constraint=False
    )
    salt = models.BinaryField(max_length=32)

    def __str__(self) -> str:
        return f"salt of leaf {self.leaf_id}"


class Subtree(models.Model):
    """The hash of a whole subtree of ``256 ** level`` leaves (level 1 and up), so that heads and proofs read little."""

    level = models.PositiveSmallIntegerField()
    index = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["level", "index"], name="subtree_once")]

    def __str__(self) -> str:
        return f"subtree {self.level}/{self.index}"


class Seal(models.Model):
    """The leaves ``start`` .. ``size - 1``, sealed together, and the head of the tree over all ``size`` leaves.

    Every entry up to (``horizon_xid``, ``horizon_id``) in the order of writing is sealed, and every audit event up to
    (``event_xid``, ``event_id``). ``cluster`` is the database
    cluster that counted those xids: another one, into which the books were restored, counts anew.
    """

    start = models.BigIntegerField(unique=True)
    size = models.BigIntegerField(unique=True)
    root = models.BinaryField(max_length=32)
    cluster = models.BigIntegerField()
    horizon_xid = TransactionId()
    horizon_id = models.BigIntegerField()
    event_xid = TransactionId(db_default=0)
    event_id = models.BigIntegerField(db_default=0)
    sealed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(size__gt=F("start")), name="seal_not_empty")]

    def __str__(self) -> str:
        return f"seal of {self.size} entries"


class Checkpoint(models.Model):
    """A head that was signed: the note (C2SP tlog-checkpoint) with the log's own signature, and the key that checks it."""

    seal = models.OneToOneField(Seal, on_delete=models.PROTECT, related_name="checkpoint")
    note = models.TextField()
    verifier = models.CharField(max_length=300)
    signed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"checkpoint of {self.seal.size} entries"


class Cosignature(models.Model):
    """A witness's line under a checkpoint: it saw this head, and that it continues what it saw before."""

    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="cosignatures")
    line = models.CharField(max_length=500)
    verifier = models.CharField(max_length=300)
    added_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["checkpoint", "line"], name="cosignature_once")]

    def __str__(self) -> str:
        return self.line
