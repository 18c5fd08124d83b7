"""Proofs of reserves: what was asked to be signed, and the tx that nobody can send with signatures over all of it (R-32)."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from ledger.models import ReserveScan
from ledger.models.lot import SCOPE

USER = settings.AUTH_USER_MODEL
MOST_COINS = 5_000
MAX_MESSAGE = 200


class ReserveProof(models.Model):
    """A proof by BIP-127 that whoever answered can spend all outputs of an institution that a scan found.

    ``message`` is what it commits to, ``unsigned_tx`` what is signed. ``proved_at`` is when the answer was checked,
    and ``proved_height`` the block at which every output was still unspent; nothing of it changes afterwards.
    """

    scope = models.CharField(max_length=40)
    message = models.CharField(max_length=MAX_MESSAGE)
    scan = models.ForeignKey(ReserveScan, on_delete=models.PROTECT, related_name="+")
    output_count = models.PositiveIntegerField()
    amount_sat = models.BigIntegerField()
    unsigned_tx = models.BinaryField()
    asked_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    signed_tx = models.BinaryField(null=True)
    answered_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    proved_at = models.DateTimeField(null=True)
    proved_height = models.PositiveIntegerField(null=True)
    proved_hash = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(scope__regex=SCOPE, output_count__gte=1, output_count__lte=MOST_COINS)
                & ~Q(message=""),
                name="reserveproof_says_something",
            ),
            models.CheckConstraint(
                condition=Q(
                    signed_tx=None, answered_by=None, proved_at=None, proved_height=None, proved_hash=""
                )
                | Q(
                    signed_tx__isnull=False,
                    answered_by__isnull=False,
                    proved_at__isnull=False,
                    proved_height__isnull=False,
                )
                & ~Q(proved_hash=""),
                name="reserveproof_proved_whole",
            ),
            models.CheckConstraint(
                condition=Q(answered_by=None) | ~Q(answered_by=F("asked_by")),
                name="reserveproof_answered_by_another",
            ),
        ]

    def __str__(self) -> str:
        return f"proof of reserves {self.pk}"

    @property
    def state(self) -> str:
        """Where it stands: proved, or asked."""
        return "asked" if self.proved_at is None else "proved"
