"""Webhooks of programs: addresses that are told what happens, the secrets that sign it, and what was sent."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from payments.models.encrypted import EncryptedJSONField
from payments.models.event import Event
from payments.models.program import Program
from payments.models.proposal import Proposal

USER = settings.AUTH_USER_MODEL


class PauseReason(models.TextChoices):
    """Why nothing is sent to an address for now."""

    BY_HAND = "by_hand", "Paused by hand"
    FAILING = "failing", "It took nothing for days"
    GONE = "gone", "It answered that it is gone"


class Webhook(models.Model):
    """An address that is told what happens in a program, in the order of the events' numbers.

    ``proposal`` is the last one that two people set it by. Events up to ``seen_number`` have their deliveries; while
    somebody sends, the row is under a lease whose token every write compares. ``due_at`` puts off what was not taken.
    """

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="webhooks")
    url = models.CharField(max_length=500)
    event_types = models.JSONField()
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)
    seen_number = models.BigIntegerField()
    paused_at = models.DateTimeField(null=True)
    pause_reason = models.CharField(max_length=10, choices=PauseReason, blank=True)
    ended_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    due_at = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(null=True)
    lease_token = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(paused_at=None, pause_reason="")
                | Q(paused_at__isnull=False) & ~Q(pause_reason=""),
                name="webhook_paused_for_a_reason",
            ),
            models.CheckConstraint(condition=Q(seen_number__gte=0), name="webhook_seen_from_zero"),
        ]

    def __str__(self) -> str:
        return f"Webhook {self.pk}"

    @property
    def state(self) -> str:
        """Where it stands: ended, paused, failing, or active."""
        if self.ended_at is not None:
            return "ended"
        if self.paused_at is not None:
            return "paused"
        return "failing" if self.failures else "active"


class WebhookSecret(models.Model):
    """What signs the messages of a webhook: one without an end, and those before it until theirs."""

    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="secrets")
    secret = EncryptedJSONField(context="webhooksecret.secret")
    made_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)
    ends_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["webhook"], condition=Q(ends_at=None), name="webhooksecret_one_newest"
            ),
        ]

    def __str__(self) -> str:
        return f"secret {self.pk}"


class WebhookDelivery(models.Model):
    """A message of a webhook: of an event, or of none, which is a ping. It is made of the event, and so always the same.

    It waits until it was taken, and again when somebody asks for it once more; ``replays`` counts how often.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    event = models.ForeignKey(Event, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    number = models.BigIntegerField(null=True)
    is_waiting = models.BooleanField(default=True)
    made_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True)
    response_status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True)
    delivered_at = models.DateTimeField(null=True)
    replays = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["webhook", "number"], name="webhookdelivery_once_an_event"),
            models.CheckConstraint(
                condition=Q(event=None, number=None) | Q(event__isnull=False, number__isnull=False),
                name="webhookdelivery_of_an_event",
            ),
        ]
        indexes = [
            models.Index(
                fields=["webhook", "number"], condition=Q(is_waiting=True), name="webhookdelivery_waiting"
            ),
            models.Index(fields=["webhook", "-id"], name="webhookdelivery_newest"),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"

    @property
    def status(self) -> str:
        """Whether it waits, was taken, or (a ping) was not."""
        if self.is_waiting:
            return "waiting"
        return "delivered" if not self.error and self.delivered_at is not None else "failed"

    @property
    def happened_at(self) -> datetime:
        """When what it tells happened."""
        return self.made_at if self.event is None else self.event.change.at
