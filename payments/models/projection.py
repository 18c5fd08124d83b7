"""What paying costs elsewhere: figures that somebody published, each with its source, to compare projections with."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from payments.models.outcome import MOST
from payments.models.program import Program


class CostBaseline(models.Model):
    """A cost by the word of a source: ``numerator`` for ``denominator``; the newest of a name counts, none is changed.

    With a currency it is so many minor units for so many payments, without one such a share of the value paid.
    """

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="cost_baselines")
    name = models.CharField(max_length=100)
    currency = models.CharField(
        max_length=3,
        blank=True,
        validators=[RegexValidator(r"^[A-Z]{3}\Z", "Give a currency's three capitals (ISO 4217).")],
    )
    numerator = models.PositiveBigIntegerField(validators=[MaxValueValidator(MOST)])
    denominator = models.PositiveBigIntegerField(validators=[MinValueValidator(1), MaxValueValidator(MOST)])
    source = models.CharField(max_length=300)
    measured_date = models.DateField()
    entered_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    entered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["program", "name", "id"], name="cost_baseline_newest")]
        constraints = [
            models.CheckConstraint(condition=Q(denominator__gt=0), name="cost_baseline_has_denominator"),
            models.CheckConstraint(condition=~Q(source="") & ~Q(name=""), name="cost_baseline_has_source"),
            models.CheckConstraint(
                condition=Q(currency="") | Q(currency__regex="^[A-Z]{3}$"), name="cost_baseline_currency"
            ),
        ]

    def __str__(self) -> str:
        return self.name
