"""Grievances: what a person complains of, by when it is answered, by whom, and about which payment."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from payments.models.beneficiary import Enrollment
from payments.models.encrypted import EncryptedJSONField
from payments.models.history import Tracked
from payments.models.payment import Payment
from payments.models.program import Program
from payments.onchain.amount import MAX_SAT
from payments.states import GRIEVANCE_OPEN, GrievanceStatus, PayoutStatus

USER = settings.AUTH_USER_MODEL
SAID_CONTEXT, ANSWER_CONTEXT = "grievance.said", "grievance.answer"


class GrievanceCategory(models.TextChoices):
    """What is complained of (R-16)."""

    NOT_RECEIVED = "not_received", "Money did not come"
    DEDUCTION = "deduction", "Somebody kept a part"
    WRONG_AMOUNT = "wrong_amount", "The amount is wrong"
    IDENTITY_TAKEN = "identity_taken", "Somebody uses my name"
    WRONG_EXCLUSION = "wrong_exclusion", "I should be in the program"
    OTHER = "other", "Something else"


class Finding(models.TextChoices):
    """What came of looking into it."""

    UPHELD = "upheld", "Upheld"
    PARTLY_UPHELD = "partly_upheld", "Upheld in part"
    NOT_UPHELD = "not_upheld", "Not upheld"


class Grievance(Tracked):
    """One complaint. ``said`` (text, contact) and ``answer`` (text) are encrypted: people write names.

    Whoever lodged it reads the answer by its number and a secret, of which only ``secret_hash`` is kept. ``is_proved`` says
    that the national id which came with it is that of the person enrolled under the reference. ``received_sat`` is what the
    person says to have received of ``payment``.
    """

    status_subject = "grievance"

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="grievances")
    category = models.CharField(max_length=20, choices=GrievanceCategory)
    status = models.CharField(
        max_length=10, choices=GrievanceStatus, default=GrievanceStatus.LODGED, editable=False
    )
    enrollment = models.ForeignKey(Enrollment, null=True, on_delete=models.PROTECT, related_name="grievances")
    payment = models.ForeignKey(Payment, null=True, on_delete=models.PROTECT, related_name="grievances")
    is_proved = models.BooleanField(default=False)
    said = EncryptedJSONField(context=SAID_CONTEXT)
    received_sat = models.BigIntegerField(null=True)
    secret_hash = models.BinaryField(max_length=32, unique=True)
    owner = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    finding = models.CharField(max_length=15, choices=Finding, blank=True)
    answer = EncryptedJSONField(context=ANSWER_CONTEXT, null=True)
    lodged_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    lodged_at = models.DateTimeField()
    due_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(status__in=GRIEVANCE_OPEN), name="grievance_due"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(received_sat=None) | Q(received_sat__gte=0, received_sat__lte=MAX_SAT),
                name="grievance_amount_in_range",
            ),
            models.CheckConstraint(
                condition=Q(owner__isnull=False) | Q(status__in=["lodged", "withdrawn"]),
                name="grievance_worked_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(answer__isnull=False, answered_at__isnull=False)
                & Q(finding__in=["upheld", "partly_upheld", "not_upheld"])
                | ~Q(status__in=["answered", "closed"]),
                name="grievance_answered_with_a_finding",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=False, status__in=["closed", "withdrawn"])
                | Q(ended_at__isnull=True) & ~Q(status__in=["closed", "withdrawn"]),
                name="grievance_ends_once",
            ),
            models.CheckConstraint(condition=Q(due_at__gt=F("lodged_at")), name="grievance_due_later"),
        ]

    def __str__(self) -> str:
        return f"Grievance {self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether its clock runs."""
        return self.status in GRIEVANCE_OPEN

    def is_overdue(self, now: datetime) -> bool:
        """Say whether it should have been answered by now."""
        return self.is_open and self.due_at <= now

    @property
    def paid_sat(self) -> int | None:
        """What the chain says was paid by the payment it is about: its amount once a block holds it; None without one."""
        if self.payment is None:
            return None
        payout = self.payment.payout
        is_paid = payout is not None and payout.status in (PayoutStatus.MINED, PayoutStatus.SETTLED)
        return self.payment.amount_sat if is_paid else 0

    @property
    def missing_sat(self) -> int | None:
        """What was paid and, by the person's word, not received; None where one of the two is not known."""
        if self.paid_sat is None or self.received_sat is None:
            return None
        return self.paid_sat - self.received_sat
