"""Whether a verifier elsewhere knows a person; nobody is paid whom it has not confirmed, where there is one (R-03)."""

from django.db import models
from django.db.models import Q

from payments.models.beneficiary import Beneficiary


class Standing(models.TextChoices):
    """What the verifier has said last."""

    UNVERIFIED = "unverified", "Not verified yet"
    CONFIRMED = "confirmed", "Confirmed"
    REFUSED = "refused", "Not confirmed"


class Verification(models.Model):
    """What is known of one person. ``due_at`` is when the verifier is asked again; moving it on claims the row."""

    beneficiary = models.OneToOneField(Beneficiary, on_delete=models.PROTECT, related_name="verification")
    standing = models.CharField(max_length=10, choices=Standing, default=Standing.UNVERIFIED)
    due_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    answered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(standing="unverified") | Q(answered_at__isnull=False),
                name="verification_answered",
            )
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=~Q(standing=Standing.CONFIRMED), name="verification_due"
            )
        ]

    def __str__(self) -> str:
        return f"verification of person {self.beneficiary_id}"
