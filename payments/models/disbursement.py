"""Disbursements: one cycle's list with control totals, as officers make, approve and release it."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from payments.models.history import Tracked
from payments.models.intake import Intake
from payments.models.program import Program
from payments.models.quote import Quote
from payments.models.rail import Rail
from payments.states import DisbursementStatus

USER = settings.AUTH_USER_MODEL


class Cycle(models.Model):
    """A program's period and purpose; a person is paid at most once in it, whatever lists are made (R-05)."""

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="cycles", db_index=False)
    period = models.CharField(max_length=20)
    purpose = models.CharField(max_length=40)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "period", "purpose"], name="cycle_once"),
        ]

    def __str__(self) -> str:
        return f"{self.period} {self.purpose}"


class Disbursement(Tracked):
    """A list. ``manifest_hash`` is what the approver agrees to and what is checked again at release.

    ``total`` is in the program's own unit: ``total_sat``, or of a program of money ``total_minor``, to which the release
    adds ``quote`` and ``total_sat``. ``fee_reserved_sat`` is the most that network fees may cost; it and the total are set
    aside at approval. ``approval_tier`` is who must approve it, frozen when it is submitted: ``needs`` (how many of which
    group), ``days`` (how long an approval counts), ``up_to_sat`` or ``up_to_minor``, and ``policy`` (whence). ``problem``
    says why the engine waits with it. An urgent list is paid in a fee spike, up to the ceiling.
    """

    status_subject = "disbursement"
    program_path = "program_id"

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="disbursements")
    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="disbursements")
    intake = models.OneToOneField(Intake, on_delete=models.PROTECT, related_name="disbursement")
    status = models.CharField(
        max_length=10, choices=DisbursementStatus, default=DisbursementStatus.DRAFT, editable=False
    )
    # How its money goes to people; every line has the same.
    rail = models.CharField(max_length=10, choices=Rail, default=Rail.BITCOIN, db_default=Rail.BITCOIN)
    payment_count = models.PositiveIntegerField()
    total_minor = models.BigIntegerField(null=True)
    total_sat = models.BigIntegerField(null=True)
    total = models.GeneratedField(
        expression=Coalesce(F("total_minor"), F("total_sat")),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )
    # What was converted at its release, of it ``total_sat``, and what was left over.
    converted_minor = models.BigIntegerField(null=True)
    remainder_minor = models.BigIntegerField(null=True)
    # One list alone is converted by a quote.
    quote = models.OneToOneField(Quote, null=True, on_delete=models.PROTECT, related_name="disbursement")
    manifest_hash = models.BinaryField(max_length=32, null=True)
    fee_reserved_sat = models.BigIntegerField(null=True)
    approval_tier: Any = models.JSONField(null=True)
    problem = models.CharField(max_length=300, blank=True)
    is_urgent = models.BooleanField(default=False)
    # Since when nothing but fees keeps it waiting.
    fees_wait_since = models.DateTimeField(null=True)
    made_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)
    submitted_at = models.DateTimeField(null=True)
    approved_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    approved_at = models.DateTimeField(null=True)
    released_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    released_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(approved_by=F("made_by"))
                & ~Q(released_by=F("made_by"))
                & ~Q(released_by=F("approved_by")),
                name="disbursement_three_people",
            ),
            models.CheckConstraint(
                condition=Q(
                    approved_by__isnull=False, manifest_hash__isnull=False, fee_reserved_sat__isnull=False
                )
                | ~Q(status__in=["approved", "released", "completed"]),
                name="disbursement_approved_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(released_by__isnull=False) | ~Q(status__in=["released", "completed"]),
                name="disbursement_released_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(payment_count__gt=0, total__isnull=False, total__gt=0),
                name="disbursement_not_empty",
            ),
            models.CheckConstraint(
                condition=Q(total_minor=None, quote=None, total_sat__isnull=False)
                | Q(total_minor__isnull=False, quote=None, total_sat=None)
                | Q(total_minor__isnull=False, quote__isnull=False, total_sat__isnull=False),
                name="disbursement_converted_by_a_quote",
            ),
        ]

    def __str__(self) -> str:
        return f"List {self.pk}"
