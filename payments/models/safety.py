"""What keeps an installation safe and awake: its identity, the global stop, and alarms that somebody must own."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from payments.models.program import Program

USER = settings.AUTH_USER_MODEL


class Installation(models.Model):
    """Who we are to a wallet: one row, made once. The node's wallet names it, so that another cannot pay from it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    is_only = models.BooleanField(default=True, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(is_only=True), name="installation_only_one")]

    def __str__(self) -> str:
        return str(self.pk)


class Stop(models.Model):
    """The global stop: while one is open, nothing is sealed, signed or sent; blocks are still followed."""

    thrown_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    thrown_at = models.DateTimeField(auto_now_add=True)
    reason = models.CharField(max_length=300)
    is_open = models.BooleanField(default=True)
    lifted_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True)
    lift_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["is_open"], condition=Q(is_open=True), name="stop_one_open"),
            models.CheckConstraint(
                condition=Q(is_open=True, lifted_at__isnull=True, lifted_by__isnull=True)
                | Q(is_open=False, lifted_at__isnull=False, lifted_by__isnull=False),
                name="stop_lifted_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(lifted_by=None) | ~Q(lifted_by=F("thrown_by")), name="stop_lifted_by_another"
            ),
        ]

    def __str__(self) -> str:
        return f"stop {self.pk}"


class Alarm(models.Model):
    """Something that a person must look at; one open row for each cause, with how often and until when it was seen.

    ``subject`` and ``subject_id`` name the row it is about (payout, payment, disbursement, wallet, node).
    """

    code = models.CharField(max_length=40)
    subject = models.CharField(max_length=20)
    subject_id = models.BigIntegerField(default=0)
    program = models.ForeignKey(Program, null=True, on_delete=models.PROTECT, related_name="alarms")
    message = models.CharField(max_length=300)
    opened_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)
    owner = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    owned_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    close_note = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["code", "subject", "subject_id"],
                condition=Q(closed_at__isnull=True),
                name="alarm_one_open",
            ),
        ]
        indexes = [models.Index(fields=["program", "-id"], name="alarm_of_program")]

    def __str__(self) -> str:
        return f"alarm {self.pk}"


class AlarmEvent(models.TextChoices):
    """What the receiver elsewhere is told of an alarm."""

    OPENED = "opened", "Opened"
    TAKEN = "taken", "Taken"
    CLOSED = "closed", "Closed"


class AlarmDelivery(models.Model):
    """A message to the receiver elsewhere, kept until it was taken; each attempt sends the same id and ``body``.

    ``due_at`` is when it may be sent next. Whoever claims it moves that on first, so that it is a lease as well.
    """

    alarm = models.ForeignKey(Alarm, on_delete=models.PROTECT, related_name="deliveries")
    event = models.CharField(max_length=20, choices=AlarmEvent)
    message_id = models.CharField(max_length=64, unique=True)
    body = models.TextField()
    made_at = models.DateTimeField()
    due_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(delivered_at__isnull=True), name="alarmdelivery_due")
        ]

    def __str__(self) -> str:
        return self.message_id


class Heartbeat(models.Model):
    """When something that comes by the clock was last done: without it, a dead scheduler would look like quiet days."""

    name = models.CharField(max_length=20, unique=True)
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} {self.beat_at}"

    @classmethod
    def beat(cls, name: str) -> None:
        """Note, by the database's clock, that it was done now."""
        cls.objects.update_or_create(name=name, defaults={"beat_at": Now()})

    @classmethod
    def is_due(cls, name: str, *, every_s: int) -> bool:
        """Tell whether it was last done so many seconds ago, or never."""
        return not cls.objects.filter(name=name, beat_at__gt=Now() - timedelta(seconds=every_s)).exists()

    @staticmethod
    def late_s(every_s: int) -> int:
        """Return how old the last time may be of what is done so often: ten misses, and a minute at least."""
        return max(60, 10 * every_s)
