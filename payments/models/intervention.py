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


class Intervention(Tracked):
    """A request. ``preview`` is what its proposer was shown: old and new fee, vsize, feerate, in figures.

    ``version`` is the tx that came of it. A request that needs a second person is decided by somebody else.
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
            models.CheckConstraint(
                condition=Q(needs_second=False)
                | Q(decided_by__isnull=True)
                | ~Q(decided_by=F("proposed_by")),
                name="intervention_two_people",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
