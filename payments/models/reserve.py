"""Holdings of bitcoin by institutions of the public sector: whose addresses they are, and how that is known (R-28, R-30)."""

from django.db import models
from django.db.models import Q

from ledger.models import Badge, ReserveScan
from ledger.models.lot import MOST_SAT, SCOPE
from payments.models.proposal import Proposal

MOST_ADDRESSES = 1_000
COIN = 100_000_000
# What an address holds at most, unless its holding says otherwise.
USUAL_CAP_SAT = 500 * COIN


class HoldingKind(models.TextChoices):
    """How the addresses of a holding are known, and whether this node can count what is on them."""

    DESCRIPTOR = "descriptor", "Watch-only descriptor"
    ADDRESSES = "addresses", "Addresses of this network"
    DECLARED = "declared", "Declared, on another network"


class Holding(models.Model):
    """Addresses of an institution; ``proposal`` is the last one by which two people set it.

    ``scope`` is the institution in the books. A descriptor has no private key, and the indexes from ``first_index`` to
    ``last_index`` are its addresses; one without a range has one address, and no indexes. ``cap_sat`` is what an address
    of it should hold at most.
    """

    scope = models.CharField(max_length=40)
    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=10, choices=HoldingKind)
    network = models.CharField(max_length=20)
    descriptor = models.CharField(max_length=4_000, blank=True)
    first_index = models.PositiveIntegerField(null=True, blank=True)
    last_index = models.PositiveIntegerField(null=True, blank=True)
    cap_sat = models.BigIntegerField(default=USUAL_CAP_SAT)
    ended_at = models.DateTimeField(null=True, blank=True)
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "name"],
                condition=Q(ended_at=None),
                name="holding_name_once",
                violation_error_message="The institution has a holding of this name already.",
            ),
            models.CheckConstraint(
                condition=Q(scope__regex=SCOPE),
                name="holding_scope_grammar",
                violation_error_message="Name the institution by its scope in the books, such as reserve:1.",
            ),
            models.CheckConstraint(
                condition=Q(cap_sat__gte=1, cap_sat__lte=MOST_SAT),
                name="holding_cap_in_range",
                violation_error_message="The cap is 1 satoshi at least, and not more than there are.",
            ),
            models.CheckConstraint(
                condition=Q(kind="descriptor") & ~Q(descriptor="")
                | ~Q(kind="descriptor") & Q(descriptor="", first_index=None, last_index=None),
                name="holding_has_its_descriptor",
            ),
            models.CheckConstraint(
                condition=Q(first_index=None, last_index=None)
                | Q(first_index__isnull=False, last_index__gte=models.F("first_index")),
                name="holding_range_forward",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.scope})"

    @property
    def badge(self) -> Badge:
        """How its balances are known."""
        return Badge.VERIFIED if self.is_verified else Badge.DECLARED

    @property
    def is_verified(self) -> bool:
        """Whether this node counts what is on its addresses."""
        return self.kind != HoldingKind.DECLARED


class HoldingAddress(models.Model):
    """An address of a holding, in the spelling that is compared; ``declared_sat`` is what was stated to be on it.

    While its holding goes on it ``is_live``, and is in no other: what were in two would be counted twice.
    """

    holding = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="addresses")
    network = models.CharField(max_length=20)
    address = models.CharField(max_length=100)
    script_pubkey = models.BinaryField(null=True)
    declared_sat = models.BigIntegerField(null=True)
    is_live = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["network", "address"], condition=Q(is_live=True), name="holdingaddress_counted_once"
            ),
            models.CheckConstraint(
                condition=Q(script_pubkey__isnull=False, declared_sat=None)
                | Q(script_pubkey=None, declared_sat__gte=0, declared_sat__lte=MOST_SAT),
                name="holdingaddress_script_or_statement",
            ),
        ]

    def __str__(self) -> str:
        return self.address


class ReserveStatus(models.Model):
    """Where scanning stands: one row. ``due_at`` is when it is next to be done, and while it runs until when it is ours.

    It runs from ``began_at`` until ``ended_at``. ``fault`` says why the last one was inconclusive: the node was busy, away,
    or changed its branch; then ``scan`` is still the one before.
    """

    is_only = models.BooleanField(default=True, unique=True, editable=False)
    due_at = models.DateTimeField()
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    fault = models.CharField(max_length=40, blank=True)
    message = models.CharField(max_length=300, blank=True)
    scan = models.ForeignKey(ReserveScan, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(is_only=True), name="reservestatus_only_one")]

    def __str__(self) -> str:
        return f"status of the reserve: {self.state}"

    @property
    def state(self) -> str:
        """waiting, running, inconclusive or done."""
        if self.began_at is None:
            return "waiting"
        if self.ended_at is None:
            return "running"
        return "inconclusive" if self.fault else "done"
