"""What people agreed to: the texts of a program in their versions, and what each person said to them."""

from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import TruncDate

from payments.models.beneficiary import Beneficiary
from payments.models.program import Program

USER = settings.AUTH_USER_MODEL
# Where a day begins first, before Greenwich.
EARLIEST_DAY = timedelta(hours=14)


def latest_date(now: datetime) -> date:
    """Return the last date that any place has by now."""
    return (now + EARLIEST_DAY).astimezone(UTC).date()


class ConsentText(models.Model):
    """One version of the text that people of a program are asked to agree to; it never changes."""

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="+", db_index=False)
    version = models.CharField(max_length=40)
    text = models.TextField()
    created_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "version"], name="consenttext_version_once")
        ]

    def __str__(self) -> str:
        return self.version


class Consent(models.Model):
    """A person agreed to a text, or took that back; rows are only added, and of a program's the newest counts.

    ``said_date`` is the day on a form, where there is one; it may be that of a place where it is tomorrow already.
    """

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="+")
    beneficiary = models.ForeignKey(
        Beneficiary, on_delete=models.PROTECT, related_name="consents", db_index=False
    )
    text = models.ForeignKey(ConsentText, on_delete=models.PROTECT, related_name="+", db_index=False)
    is_given = models.BooleanField()
    note = models.CharField(max_length=300, blank=True)
    said_date = models.DateField(null=True)
    recorded_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    recorded_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["beneficiary", "program", "-id"], name="consent_newest")]
        constraints = [
            models.CheckConstraint(
                condition=Q(said_date__lte=TruncDate(F("recorded_at") + EARLIEST_DAY)),
                name="consent_said_before_it_was_recorded",
            )
        ]

    def __str__(self) -> str:
        return f"consent {self.pk}"
