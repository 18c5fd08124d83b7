"""Audit events: who did what through which door; nothing here is ever changed or deleted."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ledger.models.entry import CurrentTransactionId, TransactionId

ACTION = r"^[a-z][a-z_]*(\.[a-z][a-z_]*)+$"
NOUN = r"^[a-z][a-z_]*$"


class Door(models.TextChoices):
    """How an act came in."""

    API = "api", "API"
    ADMIN = "admin", "Admin"
    COMMAND = "command", "Command"
    TASK = "task", "Task"
    PERSON = "person", "Page for people"


class AuditEvent(models.Model):
    """One act, written in the database transaction of what it did.

    ``actor`` is the name of a user, with the id as text, or a program: ``engine``, ``command:NAME``. ``subject_kind`` and
    ``subject_id`` name the row that it is about. ``before_sha256`` and ``after_sha256`` are of that row's state (``audit``).
    The reason is a person's words: what is sealed and what leaves has its SHA-256.
    """

    recorded_at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=150)
    actor_id = models.CharField(max_length=20, blank=True)
    door = models.CharField(max_length=10, choices=Door)
    action = models.CharField(max_length=60)
    subject_kind = models.CharField(max_length=40, blank=True)
    subject_id = models.CharField(max_length=40, blank=True)
    scope = models.CharField(max_length=40, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    before_sha256 = models.BinaryField(max_length=32, null=True)
    after_sha256 = models.BinaryField(max_length=32, null=True)
    insert_xid = TransactionId(db_default=CurrentTransactionId(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(actor=""), name="audit_names_its_actor"),
            models.CheckConstraint(condition=Q(door__in=Door.values), name="audit_door_is_known"),
            models.CheckConstraint(condition=Q(action__regex=ACTION), name="audit_action_grammar"),
            models.CheckConstraint(
                condition=Q(subject_kind="", subject_id="")
                | (Q(subject_kind__regex=NOUN) & ~Q(subject_id="")),
                name="audit_subject_is_whole",
            ),
        ]
        indexes = [
            # The order in which the sealer takes events.
            models.Index(fields=["insert_xid", "id"], name="audit_written"),
            models.Index(fields=["recorded_at"], name="audit_recorded"),
            models.Index(fields=["actor", "id"], name="audit_actor"),
            models.Index(fields=["action", "id"], name="audit_action"),
            models.Index(fields=["scope", "id"], name="audit_scope"),
            models.Index(fields=["subject_kind", "subject_id", "id"], name="audit_subject"),
        ]

    def __str__(self) -> str:
        return f"event {self.pk}: {self.action}"

    @property
    def subject(self) -> str:
        """What it is about, as entries name it: ``disbursement:12``."""
        return f"{self.subject_kind}:{self.subject_id}" if self.subject_kind else ""
