"""What a program's wallet holds, what is promised from it, and what is left."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, Sum
from django.db.models.functions import Coalesce

from ledger import books, chart
from payments.models import Disbursement, Payment, Payout, PayoutTx
from payments.states import DisbursementStatus, PaymentStatus, PayoutStatus


@dataclass(frozen=True)
class Funds:
    """Satoshis: in the books, set aside for approved lists (their fees included), and free."""

    booked_sat: int
    reserved_sat: int

    @property
    def available_sat(self) -> int:
        """What a new approval may still reserve."""
        return self.booked_sat - self.reserved_sat


def of_program(program_id: int) -> Funds:
    """Return the funds of a program's wallet. Hold the wallet's row lock when you act on the answer."""
    open_lists = Disbursement.objects.filter(
        program_id=program_id, status__in=[DisbursementStatus.APPROVED, DisbursementStatus.RELEASED]
    )
    promised = open_lists.aggregate(
        total=Coalesce(Sum("total_sat"), 0), fees=Coalesce(Sum("fee_reserved_sat"), 0)
    )
    # What was void, and is not any more after a reorganization of 100 blocks, is still out.
    void = Q(status=PaymentStatus.VOIDED, payout__status=PayoutStatus.VOIDED)
    withdrawn = Payment.objects.filter(
        Q(status=PaymentStatus.CANCELLED) | void, disbursement__in=open_lists
    ).aggregate(total=Coalesce(Sum("amount_sat"), 0))
    # What is signed has left the wallet in the books, so it is no promise any more; what was voided has come back.
    signed = PayoutTx.objects.filter(payout=OuterRef("pk"), raw__isnull=False)
    booked = Payout.objects.filter(Exists(signed), disbursement__in=open_lists)
    spent = booked.aggregate(
        payments=Coalesce(Sum("payments_sat", filter=Q(void_entry_id__isnull=True)), 0),
        fees=Coalesce(Sum("booked_fee_sat"), 0),
    )
    # A child's fee is paid out of the reserve of its parent's list.
    children = Payout.objects.filter(Exists(signed), parent__disbursement__in=open_lists)
    child_fees = children.aggregate(fees=Coalesce(Sum("booked_fee_sat"), 0))["fees"]
    fees_left = promised["fees"] - spent["fees"] - child_fees
    reserved = promised["total"] - withdrawn["total"] - spent["payments"] + fees_left
    return Funds(
        booked_sat=books.balance(chart.program_accounts(program_id).hot_wallet), reserved_sat=reserved
    )
