"""Payments: one line of a disbursement."""

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from payments.models.bank import BankAccount
from payments.models.beneficiary import Beneficiary, Destination
from payments.models.disbursement import Cycle, Disbursement
from payments.models.history import Tracked
from payments.models.payout import Payout
from payments.models.rail import Rail
from payments.states import PaymentStatus


class Payment(Tracked):
    """This person, this amount, this destination snapshot. What the chain says of it is its payout's status.

    ``amount`` is what the person is entitled to, in the program's own unit: ``amount_minor`` where that is money, and
    otherwise ``amount_sat``. Of money ``amount_sat`` follows from the quote of the list's release, and is written when the
    line is sealed, or taken back; ``remainder_minor`` is what it is worth less than the entitlement at that price, negative
    where it is worth more.

    ``vout`` is its output in every tx of its payout. ``script_pubkey`` is copied when the list is submitted.
    ``reissue_of`` is the voided payment that this one stands in for.
    """

    status_subject = "payment"

    disbursement = models.ForeignKey(
        Disbursement, on_delete=models.PROTECT, related_name="payments", db_index=False
    )
    cycle = models.ForeignKey(Cycle, on_delete=models.PROTECT, related_name="+", db_index=False)
    line = models.PositiveIntegerField()
    beneficiary = models.ForeignKey(Beneficiary, on_delete=models.PROTECT, related_name="payments")
    amount_minor = models.BigIntegerField(null=True)
    # None of what is in a payout, so that no code after sealing asks.
    amount_sat: Any = models.BigIntegerField(null=True)
    amount = models.GeneratedField(
        expression=Coalesce(F("amount_minor"), F("amount_sat")),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )
    remainder_minor = models.BigIntegerField(null=True)
    status = models.CharField(
        max_length=10, choices=PaymentStatus, default=PaymentStatus.PENDING, editable=False
    )
    destination = models.ForeignKey(
        Destination, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    script_pubkey = models.BinaryField(max_length=34, null=True)
    # On other rails: the account in the place of a script, when a file or a voucher took it, and when it had arrived.
    rail = models.CharField(max_length=10, choices=Rail, default=Rail.BITCOIN, db_default=Rail.BITCOIN)
    bank_account = models.ForeignKey(
        BankAccount, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    sent_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    payout = models.ForeignKey(
        Payout, null=True, on_delete=models.PROTECT, related_name="payments", db_index=False
    )
    vout = models.PositiveIntegerField(null=True)
    reissue_of = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="reissues", db_index=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["disbursement", "line"], name="payment_line_once"),
            models.UniqueConstraint(
                fields=["cycle", "beneficiary"],
                # A line without an address waits for its person, and another list pays what they claim.
                condition=~Q(status__in=[PaymentStatus.CANCELLED, PaymentStatus.VOIDED])
                & ~Q(rail=Rail.BITCOIN, status=PaymentStatus.HELD, script_pubkey=None),
                name="payment_person_once_a_cycle",
            ),
            models.UniqueConstraint(
                fields=["reissue_of"],
                condition=Q(reissue_of__isnull=False) & ~Q(status=PaymentStatus.CANCELLED),
                name="payment_reissued_once",
            ),
            models.UniqueConstraint(
                fields=["payout", "vout"], condition=Q(payout__isnull=False), name="payment_output_once"
            ),
            models.CheckConstraint(
                condition=Q(amount_sat__gt=0, amount_sat__lte=2_100_000_000_000_000),
                name="payment_amount_in_range",
            ),
            models.CheckConstraint(
                condition=Q(amount__isnull=False, amount__gt=0, amount__lte=2_100_000_000_000_000),
                name="payment_entitles_to_something",
            ),
            models.CheckConstraint(
                condition=Q(remainder_minor=None) & (Q(amount_minor=None) | Q(amount_sat=None))
                | Q(remainder_minor__isnull=False, amount_minor__isnull=False, amount_sat__isnull=False),
                name="payment_converted_whole",
            ),
            models.CheckConstraint(
                condition=Q(script_pubkey=None) | ~Q(script_pubkey=b""), name="payment_script_or_none"
            ),
            models.CheckConstraint(
                condition=Q(rail=Rail.BITCOIN, bank_account=None, sent_at=None, settled_at=None)
                | ~Q(rail=Rail.BITCOIN)
                & Q(payout=None, script_pubkey=None, destination=None, amount_sat=None)
                & (Q(settled_at=None) | Q(sent_at__isnull=False, status=PaymentStatus.PENDING)),
                name="payment_goes_one_way",
            ),
            models.CheckConstraint(
                condition=Q(payout__isnull=True, vout__isnull=True)
                | Q(
                    payout__isnull=False,
                    vout__isnull=False,
                    amount_sat__isnull=False,
                    script_pubkey__isnull=False,
                    status__in=[PaymentStatus.PENDING, PaymentStatus.VOIDED],
                ),
                name="payment_sealed_whole",
            ),
        ]
        indexes = [
            models.Index(
                fields=["disbursement", "id"],
                condition=Q(payout__isnull=True, sent_at__isnull=True, status="pending"),
                name="payment_unsealed",
            ),
            models.Index(fields=["payout"], condition=Q(status=PaymentStatus.VOIDED), name="payment_voided"),
            models.Index(
                fields=["disbursement"], condition=Q(status=PaymentStatus.CANCELLED), name="payment_cancelled"
            ),
        ]

    def __str__(self) -> str:
        return f"payment {self.pk}"
