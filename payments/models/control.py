"""Whether a person controls the address where they are to be paid: a challenge, and their signature on it."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from payments.models.beneficiary import Beneficiary
from payments.models.program import Program

USER = settings.AUTH_USER_MODEL


class AddressProof(models.Model):
    """A challenge, which binds person, program and address until it expires, and the signature that answers it."""

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="+")
    beneficiary = models.ForeignKey(
        Beneficiary, on_delete=models.PROTECT, related_name="address_proofs", db_index=False
    )
    script_pubkey = models.BinaryField(max_length=34)
    challenge = models.CharField(max_length=300)
    asked_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    signature = models.TextField(blank=True)
    form = models.CharField(max_length=10, blank=True)
    recorded_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    proved_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["challenge"], name="addressproof_challenge_once"),
            models.CheckConstraint(
                condition=Q(proved_at=None, recorded_by=None, signature="", form="")
                | (
                    Q(proved_at__isnull=False, recorded_by__isnull=False, form__in=["bip322", "legacy"])
                    & ~Q(signature="")
                    & Q(proved_at__lt=F("expires_at"))
                ),
                name="addressproof_whole",
            ),
        ]
        indexes = [
            models.Index(
                fields=["beneficiary", "program"],
                condition=Q(proved_at__isnull=False),
                name="addressproof_proved",
            )
        ]

    def __str__(self) -> str:
        return f"proof of control {self.pk}"
