"""The codes with which enrolled people say something themselves, without an account and without an officer."""

from django.db import models
from django.db.models import F, Q

from payments.models.beneficiary import Enrollment


class PersonCode(models.Model):
    """Six digits that went to the telephone of an enrolled person, who says something with them alone, once.

    Only a keyed hash is kept of them, and of whom is erased not whose they were. ``attempts`` counts what was wrong; too
    many end it.
    """

    enrollment = models.ForeignKey(
        Enrollment, null=True, on_delete=models.PROTECT, related_name="codes", db_index=False
    )
    code_hash = models.BinaryField(max_length=32)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(expires_at__gt=F("made_at")), name="personcode_has_a_term"),
        ]
        indexes = [models.Index(fields=["enrollment", "-id"], name="personcode_newest")]

    def __str__(self) -> str:
        return f"Code {self.pk}"
