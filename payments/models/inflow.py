"""What people do about bitcoin that came: plans to buy, and classings of outputs, by two each (R-27)."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from ledger.models import Inflow, InflowKind
from ledger.models.lot import MOST_MINOR, MOST_SAT
from payments.models.institution import Institution

USER = settings.AUTH_USER_MODEL
MOST_OUTPUTS = 10_000
MAX_SOURCE = 100


def _two(second: str, second_at: str, first: str, name: str) -> models.CheckConstraint:
    """Return the constraint that a second step was by somebody else than the first, and has its time."""
    done = Q(**{f"{second}__isnull": False, f"{second_at}__isnull": False}) & ~Q(**{second: F(first)})
    return models.CheckConstraint(condition=Q(**{second: None, second_at: None}) | done, name=name)


def _one(by: str, at: str, name: str) -> models.CheckConstraint:
    """Return the constraint that a step has both its person and its time."""
    done = Q(**{f"{by}__isnull": False, f"{at}__isnull": False})
    return models.CheckConstraint(condition=Q(**{by: None, at: None}) | done, name=name)


class PurchasePlan(models.Model):
    """So much bitcoin that an institution may buy, at a limit price, from a source of funds; two people agree to it.

    ``limit_price`` is of a bitcoin in major units, with fees. What is bought is classed under it before ``ends_at``. What it
    says is fixed once it is proposed; ``ended_at`` says that somebody ended it before.
    """

    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="plans")
    amount_sat = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    limit_price = models.DecimalField(max_digits=20, decimal_places=8)
    funding_source = models.CharField(max_length=MAX_SOURCE)
    ends_at = models.DateTimeField()
    note = models.CharField(max_length=300)
    proposed_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    approved_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    approved_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_sat__gte=1, amount_sat__lte=MOST_SAT, limit_price__gt=0)
                & ~Q(funding_source=""),
                name="purchaseplan_says_something",
            ),
            _two("approved_by", "approved_at", "proposed_by", "purchaseplan_approved_by_another"),
            _one("ended_by", "ended_at", "purchaseplan_ended_by_somebody"),
        ]
        indexes = [models.Index(fields=["institution", "-id"], name="purchaseplan_newest")]

    def __str__(self) -> str:
        return f"purchase plan {self.pk}"

    @property
    def state(self) -> str:
        """Where it stands: ended, approved, or proposed."""
        if self.ended_at is not None:
            return "ended"
        return "proposed" if self.approved_at is None else "approved"


class InflowClassing(models.Model):
    """Outputs that one person says came for something, and another confirms; it fixes what it says.

    ``cost_minor`` is what all of them together cost in the institution's currency, fees included; None of what is not
    acquired. ``acquired_at`` is when; empty: when each was found. A purchase names its plan.
    """

    institution = models.ForeignKey(Institution, on_delete=models.PROTECT, related_name="classings")
    kind = models.CharField(max_length=17, choices=InflowKind)
    funding_source = models.CharField(max_length=MAX_SOURCE)
    plan = models.ForeignKey(PurchasePlan, null=True, on_delete=models.PROTECT, related_name="classings")
    output_count = models.PositiveIntegerField()
    amount_sat = models.BigIntegerField()
    cost_minor = models.BigIntegerField(null=True)
    acquired_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=300)
    given_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    given_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(output_count__gte=1, output_count__lte=MOST_OUTPUTS, amount_sat__gte=0)
                & ~Q(funding_source=""),
                name="inflowclassing_says_something",
            ),
            models.CheckConstraint(
                condition=Q(kind=InflowKind.PURCHASE, plan__isnull=False)
                | ~Q(kind=InflowKind.PURCHASE) & Q(plan=None),
                name="inflowclassing_purchases_have_a_plan",
            ),
            models.CheckConstraint(
                condition=Q(cost_minor=None, acquired_at=None)
                | Q(cost_minor__gte=0, cost_minor__lte=MOST_MINOR, acquired_at__isnull=False),
                name="inflowclassing_cost_with_its_time",
            ),
            _two("confirmed_by", "confirmed_at", "given_by", "inflowclassing_confirmed_by_another"),
            _one("withdrawn_by", "withdrawn_at", "inflowclassing_withdrawn_by_somebody"),
            models.CheckConstraint(
                condition=Q(confirmed_at=None) | Q(withdrawn_at=None), name="inflowclassing_one_end"
            ),
        ]

    def __str__(self) -> str:
        return f"classing {self.pk}"

    @property
    def reference(self) -> str:
        """What the ledger calls it."""
        return f"classing:{self.pk}"

    @property
    def state(self) -> str:
        """Where it stands: withdrawn, confirmed, or given."""
        if self.withdrawn_at is not None:
            return "withdrawn"
        return "given" if self.confirmed_at is None else "confirmed"


class ClassedInflow(models.Model):
    """An output in a classing; while that waits (``is_open``) it is in no other."""

    classing = models.ForeignKey(InflowClassing, on_delete=models.PROTECT, related_name="outputs")
    inflow = models.ForeignKey(Inflow, on_delete=models.PROTECT, related_name="+")
    is_open = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["classing", "inflow"], name="classedinflow_once"),
            models.UniqueConstraint(
                fields=["inflow"], condition=Q(is_open=True), name="classedinflow_waits_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.inflow_id} in {self.classing_id}"
