"""What paying one list will cost at some fee rates, and what it has cost so far."""

from dataclasses import dataclass
from fractions import Fraction

from django.db import connection
from django.db.models import Q, Sum

from payments.models import Disbursement, Payout
from payments.onchain import address
from payments.onchain.address import Kind
from payments.payout import projection
from payments.payout.projection import Projection, Value
from payments.selectors import projections
from payments.states import DisbursementStatus, PayoutStatus

# One script of each kind that the list's lines are paid to, and how many of it there are; of a draft, where its people
# are paid now.
FIXED = """
SELECT min(p.script_pubkey), count(*) FROM payments_payment p
WHERE p.disbursement_id = %(disbursement)s AND p.status IN ('pending', 'held') AND p.script_pubkey IS NOT NULL
GROUP BY length(p.script_pubkey), substring(p.script_pubkey FROM 1 FOR 2)
"""
DRAFT = """
SELECT min(d.script_pubkey), count(*) FROM payments_payment p
JOIN payments_destination d ON d.beneficiary_id = p.beneficiary_id AND d.is_current
WHERE p.disbursement_id = %(disbursement)s AND p.status IN ('pending', 'held')
GROUP BY length(d.script_pubkey), substring(d.script_pubkey FROM 1 FOR 2)
"""


@dataclass(frozen=True)
class Spent:
    """What the books hold of fees for a list's payouts and their children, and the satoshis that are in its payouts."""

    fee_sat: int
    child_fee_sat: int
    payments: int
    payments_sat: int

    @property
    def per_payment_sat(self) -> Fraction:
        """Satoshis of fees a payment."""
        return Fraction(self.fee_sat, self.payments)

    @property
    def share(self) -> Fraction:
        """The fees for one of the value paid."""
        return Fraction(self.fee_sat, self.payments_sat)


def ahead(disbursement: Disbursement) -> Projection | None:
    """Project the payment of a list's lines that are not withdrawn, in two queries; None while none has an address."""
    query = DRAFT if disbursement.status == DisbursementStatus.DRAFT else FIXED
    with connection.cursor() as cursor:
        cursor.execute(query, {"disbursement": disbursement.pk})
        kinds: list[tuple[Kind | None, int]] = [
            (address.kind(bytes(script)), count) for script, count in cursor.fetchall()
        ]
    outputs = {kind: count for kind, count in kinds if kind is not None}
    if not outputs:
        return None
    return projection.project(outputs, projections.groups_of(disbursement.program), value=Value())


def so_far(disbursement: Disbursement) -> Spent | None:
    """Add up what a list has cost, in one query; None before anything of it is in a payout."""
    own, children = Q(disbursement=disbursement), Q(parent__disbursement=disbursement)
    rows = Payout.objects.filter(own | children).exclude(status=PayoutStatus.UNSEALED)
    found = rows.aggregate(
        fee=Sum("booked_fee_sat"),
        child=Sum("booked_fee_sat", filter=children),
        payments=Sum("payment_count", filter=own),
        sat=Sum("payments_sat", filter=own),
    )
    if not found["payments"]:
        return None
    return Spent(found["fee"], found["child"] or 0, found["payments"], found["sat"])
