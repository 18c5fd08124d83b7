"""What a program was before: figures that somebody measured elsewhere, each with its source, to compare outcomes with."""

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q

from payments.models.program import Program

MOST = 2_100_000_000_000_000


class OutcomeFigure(models.TextChoices):
    """What is measured of a program (R-22)."""

    COST_PER_PAYMENT = "cost_per_payment", "Cost of a payment"
    COST_SHARE = "cost_share", "Cost as a share of what was paid"
    SETTLED_SHARE = "settled_share", "Approved payments that are settled"
    APPROVED_TO_SETTLED_P50 = "approved_to_settled_p50", "From approval to settlement, half of them"
    APPROVED_TO_SETTLED_P95 = "approved_to_settled_p95", "From approval to settlement, 95 of 100"
    FAILED_SHARE = "failed_share", "Approved payments that were given up or came back"
    HELD_SHARE = "held_share", "Payments on lists that were held"
    DUPLICATES_STOPPED = "duplicates_stopped", "Rows of files that repeat a person or a reference"
    SETTLED_TO_RECONCILED_P95 = (
        "settled_to_reconciled_p95",
        "From settlement to a clean reconciliation, 95 of 100",
    )
    DISPUTED_SHARE = "disputed_share", "Payments that a grievance was lodged about"
    UNCLAIMED_SHARE = "unclaimed_share", "Payments on lists that nobody has claimed"
    ANSWERED_IN_TIME = "answered_in_time", "Grievances answered within their time"


# Their value is a time; of all others it is the numerator for one of the denominator.
TIMES = (
    OutcomeFigure.APPROVED_TO_SETTLED_P50,
    OutcomeFigure.APPROVED_TO_SETTLED_P95,
    OutcomeFigure.SETTLED_TO_RECONCILED_P95,
)


class OutcomeBaseline(models.Model):
    """A figure from before the program, with its source; the newest one of a figure counts, and none is changed.

    ``seconds`` is the value of a figure that is a time, measured of ``numerator`` out of ``denominator`` payments.
    """

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="baselines")
    figure = models.CharField(max_length=30, choices=OutcomeFigure)
    numerator = models.PositiveBigIntegerField(validators=[MaxValueValidator(MOST)])
    denominator = models.PositiveBigIntegerField(validators=[MaxValueValidator(MOST)])
    seconds = models.PositiveBigIntegerField(null=True, blank=True, validators=[MaxValueValidator(MOST)])
    source = models.CharField(max_length=300)
    entered_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    entered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["program", "figure", "id"], name="baseline_newest")]
        constraints = [
            models.CheckConstraint(condition=Q(denominator__gt=0), name="baseline_has_denominator"),
            models.CheckConstraint(condition=~Q(source=""), name="baseline_has_source"),
            models.CheckConstraint(
                condition=Q(figure__in=TIMES, seconds__isnull=False, numerator__lte=F("denominator"))
                | ~Q(figure__in=TIMES) & Q(seconds__isnull=True),
                name="baseline_times_have_seconds",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_figure_display()} before {self.program}"
