"""Budgets: a program's fiscal periods with their running totals, the warrants that move them, and what lists commit."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from payments.models.disbursement import Disbursement
from payments.models.history import Tracked
from payments.models.program import Program
from payments.onchain.amount import MAX_SAT
from payments.states import WarrantStatus

USER = settings.AUTH_USER_MODEL


class BudgetPeriod(models.Model):
    """A fiscal period of a program, and what in it is allotted, released as cash, committed and spent.

    That is in the program's own unit, satoshis or minor units of its currency, whatever the columns are called; and so are
    warrants and commitments.

    The totals only move under the row's lock, together with the warrant or commitment that moves them. Open periods of a
    program never share a day (constraint ``budgetperiod_days_once``, in the migration, because it is over ranges).
    """

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="budget_periods")
    name = models.CharField(max_length=40)
    first_date = models.DateField()
    last_date = models.DateField()
    allotted_sat = models.BigIntegerField(default=0, editable=False)
    cash_released_sat = models.BigIntegerField(default=0, editable=False)
    committed_sat = models.BigIntegerField(default=0, editable=False)
    spent_sat = models.BigIntegerField(default=0, editable=False)
    opened_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField(auto_now_add=True)
    closed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True)
    close_note = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "name"], name="budgetperiod_name_once"),
            models.CheckConstraint(
                condition=Q(first_date__lte=F("last_date")), name="budgetperiod_days_ordered"
            ),
            models.CheckConstraint(
                condition=Q(committed_sat__lte=F("allotted_sat")), name="budgetperiod_within_allotment"
            ),
            models.CheckConstraint(
                condition=Q(cash_released_sat__lte=F("allotted_sat")), name="budgetperiod_cash_allotted"
            ),
            models.CheckConstraint(
                condition=Q(spent_sat__lte=F("cash_released_sat")), name="budgetperiod_within_cash"
            ),
            models.CheckConstraint(
                condition=Q(spent_sat__gte=0, spent_sat__lte=F("committed_sat")),
                name="budgetperiod_spends_commitments",
            ),
            models.CheckConstraint(
                condition=Q(closed_by=None, closed_at=None)
                | Q(closed_by__isnull=False, closed_at__isnull=False),
                name="budgetperiod_closed_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        """Say whether nobody has closed it; it takes lists from its first to its last day."""
        return self.closed_at is None

    @property
    def available_sat(self) -> int:
        """What further lists may commit."""
        return self.allotted_sat - self.committed_sat

    @property
    def cash_left_sat(self) -> int:
        """What may still be spent of the cash that was released."""
        return self.cash_released_sat - self.spent_sat


class WarrantKind(models.TextChoices):
    """What a warrant moves."""

    ALLOTMENT = "allotment", "Allotment"  # What lists may commit.
    CASH_RELEASE = "cash_release", "Cash release"  # What of it may be spent.


class Warrant(Tracked):
    """A step of a period's allotment or cash: proposed by one person, in force once another confirms it.

    ``amount_sat`` is added; a negative one withdraws.
    """

    status_subject = "warrant"

    period = models.ForeignKey(BudgetPeriod, on_delete=models.PROTECT, related_name="warrants")
    kind = models.CharField(max_length=12, choices=WarrantKind)
    status = models.CharField(
        max_length=10, choices=WarrantStatus, default=WarrantStatus.PROPOSED, editable=False
    )
    amount_sat = models.BigIntegerField()
    note = models.CharField(max_length=300)
    proposed_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_sat__gte=-MAX_SAT, amount_sat__lte=MAX_SAT) & ~Q(amount_sat=0),
                name="warrant_amount_in_range",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("proposed_by")), name="warrant_two_people"
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=False)
                | ~Q(status__in=[WarrantStatus.CONFIRMED, WarrantStatus.REJECTED]),
                name="warrant_decided_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"warrant {self.pk}"


class Commitment(models.Model):
    """What a list holds of a period: committed at its approval with its fee ceiling, spent at its release.

    ``missing_sat`` is what a reorganization made the list need again while others had it already.
    """

    period = models.ForeignKey(BudgetPeriod, on_delete=models.PROTECT, related_name="commitments")
    disbursement = models.OneToOneField(Disbursement, on_delete=models.PROTECT, related_name="commitment")
    committed_sat = models.BigIntegerField()
    spent_sat = models.BigIntegerField(default=0)
    missing_sat = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(spent_sat__gte=0, spent_sat__lte=F("committed_sat"), missing_sat__gte=0),
                name="commitment_spent_in_part",
            ),
        ]

    def __str__(self) -> str:
        return f"commitment of list {self.disbursement_id}"
