"""Changes of where somebody is paid: proposed by one person, decided by another."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from payments.models.beneficiary import Beneficiary, Destination
from payments.models.program import Program

USER = settings.AUTH_USER_MODEL


class ChangeOutcome(models.TextChoices):
    """What became of a proposed change."""

    OPEN = "open", "Waits for a second person"
    CONFIRMED = "confirmed", "Confirmed"
    REFUSED = "refused", "Refused"
    WITHDRAWN = "withdrawn", "Withdrawn"


class DestinationChange(models.Model):
    """A proposal to pay a person elsewhere; until a second person confirms it, the old address stays."""

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="+")
    beneficiary = models.ForeignKey(Beneficiary, on_delete=models.PROTECT, related_name="destination_changes")
    script_pubkey = models.BinaryField(max_length=34)
    note = models.CharField(max_length=300)
    outcome = models.CharField(max_length=10, choices=ChangeOutcome, default=ChangeOutcome.OPEN)
    proposed_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    proposed_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(null=True)
    decision_note = models.CharField(max_length=300, blank=True)
    destination = models.OneToOneField(
        Destination, null=True, on_delete=models.PROTECT, related_name="change"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["beneficiary"], condition=Q(outcome="open"), name="destinationchange_one_open"
            ),
            models.CheckConstraint(
                condition=(Q(outcome="confirmed") & Q(destination__isnull=False))
                | (~Q(outcome="confirmed") & Q(destination=None)),
                name="destinationchange_confirmed_whole",
            ),
            models.CheckConstraint(
                condition=Q(outcome="open", decided_by=None, decided_at=None)
                | Q(outcome="withdrawn", decided_by=F("proposed_by"), decided_at__isnull=False)
                | (
                    Q(
                        outcome__in=["confirmed", "refused"],
                        decided_by__isnull=False,
                        decided_at__isnull=False,
                    )
                    & ~Q(decided_by=F("proposed_by"))
                ),
                name="destinationchange_two_people",
            ),
        ]

    def __str__(self) -> str:
        return f"change of address {self.pk}"
