"""Erasures of what is known of a person: asked for by one, agreed to by another."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from payments.models.beneficiary import Beneficiary
from payments.models.program import Program

USER = settings.AUTH_USER_MODEL


class ErasureOutcome(models.TextChoices):
    """What became of it."""

    OPEN = "open", "Waits for a second person"
    ERASED = "erased", "Erased"
    REFUSED = "refused", "Refused"
    WITHDRAWN = "withdrawn", "Withdrawn"


class Erasure(models.Model):
    """A person asked, in a program, that what is known of them is destroyed; it is in every program or in none."""

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="+")
    beneficiary = models.ForeignKey(Beneficiary, on_delete=models.PROTECT, related_name="erasures")
    note = models.CharField(max_length=300)
    outcome = models.CharField(max_length=10, choices=ErasureOutcome, default=ErasureOutcome.OPEN)
    asked_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    asked_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(null=True)
    decision_note = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["beneficiary"], condition=Q(outcome="open"), name="erasure_one_open"
            ),
            models.CheckConstraint(
                condition=Q(outcome="open", decided_by=None, decided_at=None)
                | Q(outcome="withdrawn", decided_by=F("asked_by"), decided_at__isnull=False)
                | (
                    Q(outcome__in=["erased", "refused"], decided_by__isnull=False, decided_at__isnull=False)
                    & ~Q(decided_by=F("asked_by"))
                ),
                name="erasure_two_people",
            ),
        ]

    def __str__(self) -> str:
        return f"erasure {self.pk}"
