"""PSBTs that went out to signers elsewhere, what came back, and the keys with which approvers sign manifests."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.db.models.functions import Now

from payments.models.disbursement import Disbursement
from payments.models.payout import PayoutTx, PayoutTxKind
from payments.states import PayoutStatus

USER = settings.AUTH_USER_MODEL
# Payouts of which a version may still be signed.
SIGNABLE = (PayoutStatus.COMMITTED, PayoutStatus.SIGNED, PayoutStatus.SENT, PayoutStatus.VOIDING)


class RequestState(models.TextChoices):
    """Where a signing request stands; it follows from its version, its payout and the clock, and is never stored."""

    WAITING = "waiting", "Waiting"  # For signatures.
    OVERDUE = "overdue", "Overdue"  # For signatures, and its deadline has passed.
    SUPERSEDED = "superseded", "Superseded"  # A newer version waits too; this one may still be signed first.
    SIGNED = "signed", "Signed"  # The signed bytes are stored.
    CLOSED = "closed", "Closed"  # Another version was signed, the payout was given up, or a block holds it.


# States in which signatures are taken.
OPEN_STATES = (RequestState.WAITING, RequestState.OVERDUE, RequestState.SUPERSEDED)


class SigningRequestQuerySet(models.QuerySet["SigningRequest"]):
    """Requests, with the state that follows from everything else."""

    def with_state(self) -> Self:
        """Annotate ``state``, a RequestState."""
        later = PayoutTx.objects.filter(payout=OuterRef("version__payout"), pk__gt=OuterRef("version"))
        is_closed = (
            ~Q(version__payout__status__in=SIGNABLE)
            | Exists(later.filter(raw__isnull=False))
            | (~Q(version__kind=PayoutTxKind.VOID) & Exists(later.filter(kind=PayoutTxKind.VOID)))
        )
        return self.annotate(
            state=Case(
                When(version__raw__isnull=False, then=Value(RequestState.SIGNED)),
                When(is_closed, then=Value(RequestState.CLOSED)),
                When(~Q(version=F("version__payout__current")), then=Value(RequestState.SUPERSEDED)),
                When(deadline_at__lte=Now(), then=Value(RequestState.OVERDUE)),
                default=Value(RequestState.WAITING),
                output_field=models.CharField(),
            )
        )


class SigningRequest(models.Model):
    """A version's PSBT on its way through its signers. ``needed`` signers of the wallet's descriptor must sign."""

    version = models.OneToOneField(PayoutTx, on_delete=models.PROTECT, related_name="signing_request")
    psbt = models.TextField()
    needed = models.PositiveSmallIntegerField()
    deadline_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    completed_at = models.DateTimeField(null=True)

    objects = SigningRequestQuerySet.as_manager()

    def __str__(self) -> str:
        return f"signing request {self.pk}"


class PartialSignature(models.Model):
    """What one signer (its key's master fingerprint, hex) returned: valid signatures on every input."""

    request = models.ForeignKey(SigningRequest, on_delete=models.PROTECT, related_name="signatures")
    fingerprint = models.CharField(max_length=8)
    psbt = models.TextField()
    uploaded_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "fingerprint"], name="partialsignature_once"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} by {self.fingerprint}"


class ApproverKey(models.Model):
    """An approver's public key (Ed25519, 32 bytes). Signers elsewhere trust it, whatever this database says."""

    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="approver_keys")
    public_key = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(retired_at__isnull=True), name="approverkey_one_active"
            ),
        ]

    def __str__(self) -> str:
        return bytes(self.public_key).hex()


class ManifestSignature(models.Model):
    """An approver's signature over a disbursement's manifest file, as it travels to the signers."""

    disbursement = models.ForeignKey(
        Disbursement, on_delete=models.PROTECT, related_name="manifest_signatures"
    )
    key = models.ForeignKey(ApproverKey, on_delete=models.PROTECT, related_name="+")
    manifest_sha256 = models.BinaryField(max_length=32)
    signature = models.BinaryField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["disbursement", "key"], name="manifestsignature_once"),
        ]

    def __str__(self) -> str:
        return f"{self.disbursement_id} by {self.key_id}"
