"""The registry: people, their enrollment in programs, and where they are paid."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from payments.models.encrypted import EncryptedJSONField
from payments.models.program import Program

PERSONAL_CONTEXT = "beneficiary.personal"


class Beneficiary(models.Model):
    """A person, once: ``identity_hash`` is an HMAC of the normalized national id under a key the database lacks.

    Since ``erased_at`` nothing else is known of them; who is enrolled anew is known again.
    """

    identity_hash = models.BinaryField(max_length=32, unique=True)
    personal = EncryptedJSONField(context=PERSONAL_CONTEXT)
    created_at = models.DateTimeField(auto_now_add=True)
    erased_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "beneficiaries"

    def __str__(self) -> str:
        return f"beneficiary {self.pk}"


class Enrollment(models.Model):
    """A person's place in a program, under the ministry's own ``reference``."""

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="enrollments", db_index=False)
    beneficiary = models.ForeignKey(Beneficiary, on_delete=models.PROTECT, related_name="enrollments")
    reference = models.CharField(max_length=40)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "reference"], name="enrollment_reference_once"),
            models.UniqueConstraint(fields=["beneficiary", "program"], name="enrollment_person_once"),
        ]

    def __str__(self) -> str:
        return self.reference


class Destination(models.Model):
    """A script_pubkey that a person is paid to. The current one is copied into a payment when a list is submitted.

    ``changed_at`` says when it took the place of another, from which on it cools; the first one has none. One that was
    claimed cools from then on where the program's rule says so (its claim link knows when).
    """

    beneficiary = models.ForeignKey(
        Beneficiary, on_delete=models.PROTECT, related_name="destinations", db_index=False
    )
    script_pubkey = models.BinaryField(max_length=34)
    is_current = models.BooleanField(default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["script_pubkey"], name="destination_script")]
        constraints = [
            models.UniqueConstraint(
                fields=["beneficiary"], condition=Q(is_current=True), name="destination_one_current"
            ),
            models.UniqueConstraint(
                fields=["script_pubkey"], condition=Q(is_current=True), name="destination_one_person"
            ),
        ]

    def __str__(self) -> str:
        return bytes(self.script_pubkey).hex()


def mask_phone(text: str) -> str:
    """Return a telephone number of which only the last two digits can be read."""
    return "•" * 5 + text[-2:] if text else ""
