"""What a program's wallet holds, what is promised from it, and what is left."""

from dataclasses import dataclass

from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from ledger import books, chart
from payments.models import Disbursement, Payment, Payout
from payments.states import PAYOUT_SIGNED, DisbursementStatus, PaymentStatus


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
    cancelled = Payment.objects.filter(disbursement__in=open_lists, status=PaymentStatus.CANCELLED).aggregate(
        total=Coalesce(Sum("amount_sat"), 0)
    )
    # What is signed has left the wallet in the books, so it is no promise any more.
    spent = Payout.objects.filter(
        Q(status__in=PAYOUT_SIGNED, txs__isnull=False), disbursement__in=open_lists
    ).aggregate(payments=Coalesce(Sum("payments_sat"), 0), fees=Coalesce(Sum("fee_sat"), 0))
    reserved = promised["total"] + promised["fees"] - cancelled["total"] - spent["payments"] - spent["fees"]
    return Funds(
        booked_sat=books.balance(chart.program_accounts(program_id).hot_wallet), reserved_sat=reserved
    )
