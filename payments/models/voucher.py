"""Vouchers: a line of a list that a person takes to a paying agent with a code that counts once."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from payments.models.history import Tracked
from payments.models.payment import Payment
from payments.models.program import Program
from payments.states import VOUCHER_LIVE, VoucherStatus

USER = settings.AUTH_USER_MODEL


class Voucher(Tracked):
    """A person's voucher for one payment. Of its code, made when it is printed and shown once, a hash is kept.

    ``replaces`` is the cancelled one that it stands in for. Amounts are minor units of ``currency``.
    """

    status_subject = "voucher"
    program_path = "program_id"

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="vouchers")
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="vouchers")
    status = models.CharField(
        max_length=10, choices=VoucherStatus, default=VoucherStatus.WAITING, editable=False
    )
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    code_hash = models.BinaryField(max_length=32, null=True, unique=True)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    issued_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    issued_at = models.DateTimeField(null=True)
    redeemed_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    cancel_asked_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    cancel_asked_at = models.DateTimeField(null=True)
    cancel_note = models.CharField(max_length=300, blank=True)
    cancelled_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    ended_at = models.DateTimeField(null=True)
    replaces = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="replacement")

    class Meta:
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(status__in=VOUCHER_LIVE), name="voucher_due")
        ]
        constraints = [
            # Of all the vouchers of a payment one can be paid, and one that was paid is the last.
            models.UniqueConstraint(
                fields=["payment"],
                condition=Q(status__in=[*VOUCHER_LIVE, VoucherStatus.REDEEMED]),
                name="voucher_one_counts",
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0) & Q(expires_at__gt=F("made_at")), name="voucher_has_a_term"
            ),
            models.CheckConstraint(
                condition=Q(status=VoucherStatus.WAITING)
                | Q(status__in=[VoucherStatus.ISSUED, VoucherStatus.REDEEMED], code_hash__isnull=False)
                | Q(status__in=[VoucherStatus.EXPIRED, VoucherStatus.CANCELLED]),
                name="voucher_issued_with_a_code",
            ),
            models.CheckConstraint(
                condition=Q(status__in=VOUCHER_LIVE, ended_at=None)
                | ~Q(status__in=VOUCHER_LIVE) & Q(ended_at__isnull=False),
                name="voucher_ends_once",
            ),
            models.CheckConstraint(
                condition=Q(status=VoucherStatus.REDEEMED, redeemed_by__isnull=False)
                | ~Q(status=VoucherStatus.REDEEMED) & Q(redeemed_by=None),
                name="voucher_redeemed_by_an_agent",
            ),
            # Who prints a voucher does not pay it out.
            models.CheckConstraint(
                condition=Q(redeemed_by=None) | ~Q(redeemed_by=F("issued_by")),
                name="voucher_redeemed_by_another",
            ),
            models.CheckConstraint(
                condition=Q(
                    status=VoucherStatus.CANCELLED, cancelled_by__isnull=False, cancel_asked_by__isnull=False
                )
                & ~Q(cancelled_by=F("cancel_asked_by"))
                | ~Q(status=VoucherStatus.CANCELLED) & Q(cancelled_by=None),
                name="voucher_cancelled_by_two",
            ),
        ]

    def __str__(self) -> str:
        return f"voucher {self.pk}"


class VoucherDesk(models.Model):
    """How often somebody has typed codes that are none; too many lock their desk until ``locked_until``."""

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="+", db_index=False)
    agent = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    misses = models.PositiveIntegerField(default=0)
    counted_from = models.DateTimeField()
    locked_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "agent"], name="voucherdesk_once"),
        ]

    def __str__(self) -> str:
        return f"desk of {self.agent}"
