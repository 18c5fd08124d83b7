"""Interventions: what a person asks the engine to do with a payout or a wallet, and who agreed to it."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from payments.models.history import Tracked
from payments.models.payout import Payout, PayoutTx
from payments.models.wallet import Wallet
from payments.states import InterventionStatus

USER = settings.AUTH_USER_MODEL


class InterventionKind(models.TextChoices):
    """What is asked for."""

    BUMP = "bump", "Fee bump"  # A version of the same payments with a higher fee.
    CHILD = "child", "Fee by a child"  # A tx that spends the payout's change with a high fee.
    VOID = "void", "Void"  # Take the anchor back; always two people.
    THAW = "thaw", "Thaw"  # Let a frozen payout go on; always two people.
    UNHALT = "unhalt", "Lift a halt"  # Let a halted wallet pay again; always two people.


# What one person never does alone, however little it costs.
ALWAYS_TWO = (InterventionKind.VOID, InterventionKind.THAW, InterventionKind.UNHALT)


class Intervention(Tracked):
    """A request. ``preview`` is what its proposer was shown: old and new fee, vsize, feerate, in figures.

    It also is the most that may be built. ``version`` is the tx that came of it. A request that needs a second person
    is decided by somebody else; lifting a halt is about a wallet, all else about a payout.
    """

    status_subject = "intervention"

    kind = models.CharField(max_length=10, choices=InterventionKind)
    payout = models.ForeignKey(Payout, null=True, on_delete=models.PROTECT, related_name="interventions")
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="interventions")
    status = models.CharField(
        max_length=10, choices=InterventionStatus, default=InterventionStatus.PROPOSED, editable=False
    )
    feerate_sat_kvb = models.PositiveIntegerField(null=True)
    preview = models.JSONField(default=dict)
    needs_second = models.BooleanField(default=True)
    note = models.CharField(max_length=300)
    proposed_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    version = models.ForeignKey(PayoutTx, null=True, on_delete=models.PROTECT, related_name="+")
    failure = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["payout"],
                condition=Q(status__in=[InterventionStatus.PROPOSED, InterventionStatus.APPROVED]),
                name="intervention_one_open",
            ),
            models.UniqueConstraint(
                fields=["wallet"],
                condition=Q(
                    payout__isnull=True,
                    status__in=[InterventionStatus.PROPOSED, InterventionStatus.APPROVED],
                ),
                name="intervention_one_open_of_wallet",
            ),
            models.CheckConstraint(
                condition=Q(kind=InterventionKind.UNHALT, payout__isnull=True)
                | (~Q(kind=InterventionKind.UNHALT) & Q(payout__isnull=False)),
                name="intervention_has_its_subject",
            ),
            models.CheckConstraint(
                condition=Q(needs_second=True) | ~Q(kind__in=ALWAYS_TWO),
                name="intervention_always_two",
            ),
            models.CheckConstraint(
                condition=Q(needs_second=False)
                | Q(decided_by__isnull=False)
                | ~Q(status__in=[InterventionStatus.APPROVED, InterventionStatus.DONE]),
                name="intervention_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(needs_second=False)
                | Q(decided_by__isnull=True)
                | ~Q(decided_by=F("proposed_by")),
                name="intervention_two_people",
            ),
        ]

    def __str__(self) -> str:
        return f"Intervention {self.pk}"
