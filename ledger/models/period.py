"""Periods of the books and what people did with them; nothing here is ever changed or deleted."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,29}$"


class PeriodStatus(models.TextChoices):
    """How far the closing of a period has come."""

    OPEN = "open", "Open"  # Anything may be dated in it.
    CLOSING = (
        "closing",
        "Closing",
    )  # One person closed it: late facts go to the next one, a person may still correct.
    SEALED = "sealed", "Sealed"  # A second person sealed it: nothing is dated before its end any more.


class Period(models.Model):
    """A period of all books, such as a month: it begins where the one before ends, and ends before ``ends_at``."""

    name = models.CharField(max_length=30, unique=True)
    ends_at = models.DateTimeField(unique=True)
    opened_by = models.CharField(max_length=150)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        permissions = [("close_period", "Can open, close and seal periods")]
        constraints = [
            models.CheckConstraint(condition=Q(name__regex=NAME), name="period_name_grammar"),
            models.CheckConstraint(condition=~Q(opened_by=""), name="period_names_its_opener"),
        ]

    def __str__(self) -> str:
        return self.name


class PeriodChange(models.Model):
    """A period's next status, by whom and why: the latest is what holds; a period without any is open.

    ``through_entry_id`` is the last entry that stood when it was closed, which the database says itself, and ``digest`` is
    the SHA-256 of the trial balance that was sealed. ``actor`` is the name that ``user`` had then; a second person is
    another user of another name.
    """

    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="changes")
    status = models.CharField(max_length=10, choices=PeriodStatus)
    actor = models.CharField(max_length=150)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    note = models.CharField(max_length=300, blank=True)
    through_entry_id = models.BigIntegerField(db_default=0, editable=False)
    digest = models.BinaryField(max_length=32, null=True)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=PeriodStatus.values), name="period_change_is_known"
            ),
            models.CheckConstraint(condition=~Q(actor=""), name="period_change_names_its_actor"),
            models.CheckConstraint(
                condition=Q(status="sealed", digest__isnull=False) | (~Q(status="sealed") & Q(digest=None)),
                name="period_change_digest_is_of_a_seal",
            ),
            models.UniqueConstraint(
                fields=["period"], condition=Q(status="sealed"), name="period_is_sealed_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.period_id} {self.status} by {self.actor}"
