"""What people agreed to: the texts of a program in their versions, and what each person said to them."""

from django.conf import settings
from django.db import models

from payments.models.beneficiary import Beneficiary
from payments.models.program import Program

USER = settings.AUTH_USER_MODEL


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
    """A person agreed to a text, or took that back; rows are only added, and of a program's the newest counts."""

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="+")
    beneficiary = models.ForeignKey(
        Beneficiary, on_delete=models.PROTECT, related_name="consents", db_index=False
    )
    text = models.ForeignKey(ConsentText, on_delete=models.PROTECT, related_name="+", db_index=False)
    is_given = models.BooleanField()
    note = models.CharField(max_length=300, blank=True)
    recorded_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    recorded_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["beneficiary", "program", "-id"], name="consent_newest")]

    def __str__(self) -> str:
        return f"consent {self.pk}"
