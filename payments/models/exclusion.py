"""Exclusion lists: who is not to be paid for the time being, who says so, and the appeals against it (R-04)."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from payments.models.beneficiary import Beneficiary
from payments.models.encrypted import EncryptedJSONField
from payments.models.program import Program

USER = settings.AUTH_USER_MODEL


class ExclusionList(models.Model):
    """A list with its reason and source, of one program, or of the installation where ``program`` is empty."""

    program = models.ForeignKey(Program, null=True, on_delete=models.PROTECT, related_name="exclusion_lists")
    name = models.CharField(max_length=100)
    reason = models.CharField(max_length=300)
    source = models.CharField(max_length=300)
    valid_from = models.DateField()
    valid_to = models.DateField(null=True)
    created_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["program", "name"], nulls_distinct=False, name="exclusionlist_name_once"
            ),
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_to__gte=F("valid_from")),
                name="exclusionlist_dates_ordered",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Exclusion(models.Model):
    """One entry: the keyed hash of a national id. Once lifted on appeal it stays so, however often the list is loaded."""

    exclusion_list = models.ForeignKey(
        ExclusionList, on_delete=models.PROTECT, related_name="entries", db_index=False
    )
    identity_hash = models.BinaryField(max_length=32)
    created_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["identity_hash", "exclusion_list"], name="exclusion_person_once_a_list"
            ),
        ]

    def __str__(self) -> str:
        return f"exclusion {self.pk}"


class AppealOutcome(models.TextChoices):
    """What became of an appeal."""

    OPEN = "open", "Waits for a decision"
    UPHELD = "upheld", "The exclusion stands"
    LIFTED = "lifted", "The exclusion is lifted"


class Appeal(models.Model):
    """What a person says against an entry, and who decided; ``due_at`` is when it should have been decided.

    ``words`` holds who lodged it and the text, encrypted. ``excluded_by`` is who put the entry, who never decides.
    """

    exclusion = models.ForeignKey(Exclusion, on_delete=models.PROTECT, related_name="appeals")
    beneficiary = models.ForeignKey(Beneficiary, on_delete=models.PROTECT, related_name="appeals")
    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="appeals")
    words = EncryptedJSONField(context="appeal.words")
    outcome = models.CharField(max_length=10, choices=AppealOutcome, default=AppealOutcome.OPEN)
    recorded_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    excluded_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    lodged_at = models.DateTimeField()
    due_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(null=True)
    decision_note = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["exclusion"], condition=Q(outcome="open"), name="appeal_one_open"
            ),
            models.CheckConstraint(
                condition=Q(outcome="open", decided_by=None, decided_at=None)
                | (
                    Q(outcome__in=["upheld", "lifted"], decided_by__isnull=False, decided_at__isnull=False)
                    & ~Q(decided_by=F("excluded_by"))
                    & ~Q(decided_by=F("recorded_by"))
                ),
                name="appeal_decided_by_another",
            ),
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(outcome="open"), name="appeal_open")]

    def __str__(self) -> str:
        return f"appeal {self.pk}"
