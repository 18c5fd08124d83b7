"""Institutions that hold bitcoin: the law that they go by, their currency and their limits (R-27, R-29)."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from ledger.models.lot import MOST_MINOR, MOST_SAT, SCOPE
from payments.models.program import known_profile
from payments.models.proposal import Proposal

WHOLE_BPS = 10_000
LEAST_WINDOW, MOST_WINDOW = 30, 3_650
# Half of all days are no risk, and beyond the last one there is nothing to count.
LEAST_QUANTILE, MOST_QUANTILE = 5_000, 9_990


class Institution(models.Model):
    """An institution of the public sector by its scope in the books; ``proposal`` is the last by which two people set it.

    ``currency`` is the one that its lots and limits are in. ``most_sat`` is what it may hold, on verified addresses.
    ``other_reserves_minor`` is what it has besides bitcoin, as stated, of which with bitcoin ``most_share_bps`` may be
    bitcoin. ``most_var_bps`` is what may be lost of its bitcoin within a day, by the ``var_quantile_bps`` of the days of
    the last ``var_window_days``. Shares are in 1/10,000; a limit that is None is none.
    """

    scope = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=100)
    policy_profile = models.CharField(max_length=40, validators=[known_profile])
    currency = models.CharField(max_length=3)
    most_sat = models.BigIntegerField(null=True, blank=True)
    other_reserves_minor = models.BigIntegerField(null=True, blank=True)
    most_share_bps = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(WHOLE_BPS)]
    )
    most_var_bps = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(WHOLE_BPS)]
    )
    var_window_days = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(LEAST_WINDOW), MaxValueValidator(MOST_WINDOW)]
    )
    var_quantile_bps = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(LEAST_QUANTILE), MaxValueValidator(MOST_QUANTILE)]
    )
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(scope__regex=SCOPE),
                name="institution_scope_grammar",
                violation_error_message="Name the institution by its scope in the books, such as reserve:1.",
            ),
            models.CheckConstraint(
                condition=Q(currency__regex="^[A-Z]{3}$", policy_profile__regex="^[a-z0-9-]+$"),
                name="institution_currency_and_law",
            ),
            models.CheckConstraint(
                condition=Q(most_sat=None) | Q(most_sat__gte=1, most_sat__lte=MOST_SAT),
                name="institution_most_in_range",
                violation_error_message="What it may hold is 1 satoshi at least, and not more than there are.",
            ),
            models.CheckConstraint(
                condition=Q(other_reserves_minor=None)
                | Q(other_reserves_minor__gte=0, other_reserves_minor__lte=MOST_MINOR),
                name="institution_other_reserves_in_range",
            ),
            models.CheckConstraint(
                condition=Q(most_share_bps=None) | Q(other_reserves_minor__isnull=False),
                name="institution_share_of_something",
                violation_error_message="A share needs what it is a share of: state the other reserves.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.scope})"
