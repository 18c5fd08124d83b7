"""What bitcoin institutions acquired and disposed of; nothing here is ever changed or deleted."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

SCOPE = r"^[a-z][a-z0-9:_-]{0,39}$"
REFERENCE = r"^[A-Za-z0-9][A-Za-z0-9:._/-]{0,59}$"
# The kind of a row and its number: who it is stands elsewhere, encrypted.
PERSON = r"^([a-z_]+:[0-9]+)?$"
MOST_SAT = 2_100_000_000_000_000
MOST_MINOR = 9_000_000_000_000_000


class MovementKind(models.TextChoices):
    """Whether it came or went."""

    ACQUISITION = "acquisition", "Acquisition"
    DISPOSAL = "disposal", "Disposal"


class LotMovement(models.Model):
    """Bitcoin that an institution acquired or disposed of: satoshis, and their cost or proceeds in minor units.

    The cost has the fees in it, proceeds are without them. ``scope`` is the institution's in the books, ``reference`` what
    it calls the act, once. A disposal names the jurisdiction that taxes it (a table of ``ledger.law.tax``), and may name the
    person for whom it was made, by a number.
    """

    scope = models.CharField(max_length=40)
    kind = models.CharField(max_length=11, choices=MovementKind)
    effective_at = models.DateTimeField()
    amount_sat = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    scale = models.PositiveSmallIntegerField()
    value_minor = models.BigIntegerField()
    reference = models.CharField(max_length=60)
    person = models.CharField(max_length=40, blank=True)
    jurisdiction = models.CharField(max_length=40, blank=True)
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            # The order in which lots are taken.
            models.Index(fields=["scope", "currency", "scale", "effective_at", "id"], name="lot_in_order")
        ]
        constraints = [
            models.UniqueConstraint(fields=["scope", "reference"], name="lot_reference_once"),
            models.CheckConstraint(
                condition=Q(scope__regex=SCOPE, reference__regex=REFERENCE, person__regex=PERSON),
                name="lot_names_grammar",
            ),
            models.CheckConstraint(
                condition=Q(currency__regex="^[A-Z]{3}$", scale__lte=4), name="lot_currency_code"
            ),
            models.CheckConstraint(
                condition=Q(amount_sat__gte=1, amount_sat__lte=MOST_SAT)
                & Q(value_minor__gte=0, value_minor__lte=MOST_MINOR),
                name="lot_amounts_in_range",
            ),
            models.CheckConstraint(
                condition=Q(kind="acquisition", person="", jurisdiction="")
                | Q(kind="disposal") & ~Q(jurisdiction=""),
                name="lot_disposals_are_taxed_somewhere",
            ),
        ]

    def __str__(self) -> str:
        return self.reference
