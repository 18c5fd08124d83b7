"""What a program's wallet holds, what is promised from it, and what is left."""

from dataclasses import dataclass

from django.db import connection

from govpay.errors import Conflict
from ledger import books, chart
from ledger.models import Layer

# One statement, so that money which leaves the wallet in the books, and is no promise any more by that, is never seen twice
# or not at all. What was void, and is not any more after a reorganization of 100 blocks, is still out. What is signed has
# left the wallet in the books, so it is no promise any more; what was voided has come back. A child's fee is paid out of the
# reserve of its parent's list. Of a list of money its fees alone are promised until a release has converted it.
FUNDS = """
WITH open_lists AS MATERIALIZED (
    SELECT id, total_sat, fee_reserved_sat FROM payments_disbursement
    WHERE program_id = %(program)s AND status IN ('approved', 'released')
), promised AS (
    SELECT coalesce(sum(coalesce(total_sat, 0) + coalesce(fee_reserved_sat, 0)), 0) AS sat FROM open_lists
), withdrawn AS (
    SELECT coalesce(sum(p.amount_sat), 0) AS sat FROM open_lists l JOIN payments_payment p ON p.disbursement_id = l.id
    WHERE p.status = 'cancelled'
), given_up AS (
    SELECT coalesce(sum(p.amount_sat), 0) AS sat FROM open_lists l
    JOIN payments_payout o ON o.disbursement_id = l.id AND o.status = 'voided'
    JOIN payments_payment p ON p.payout_id = o.id AND p.status = 'voided'
), signed AS (
    SELECT coalesce(sum(o.payments_sat) FILTER (WHERE o.void_entry_id IS NULL), 0)
        + coalesce(sum(o.booked_fee_sat), 0) AS sat
    FROM open_lists l JOIN payments_payout o ON o.disbursement_id = l.id
    WHERE EXISTS (SELECT FROM payments_payouttx t WHERE t.payout_id = o.id AND t.raw IS NOT NULL)
), children AS (
    SELECT coalesce(sum(child.booked_fee_sat), 0) AS sat FROM open_lists l
    JOIN payments_payout o ON o.disbursement_id = l.id JOIN payments_payout child ON child.parent_id = o.id
    WHERE EXISTS (SELECT FROM payments_payouttx t WHERE t.payout_id = child.id AND t.raw IS NOT NULL)
)
SELECT ({balance}),
    (promised.sat - withdrawn.sat - given_up.sat - signed.sat - children.sat)::bigint
FROM promised, withdrawn, given_up, signed, children
"""
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('funds:' || %s::bigint, 0))"


class InsufficientFunds(Conflict):
    """The wallet cannot carry the list and its fee ceiling."""

    code = "insufficient_funds"


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
    """Return the funds of a program's wallet at one moment; ``hold`` them first when you act on the answer."""
    account = chart.program_accounts(program_id).hot_wallet
    with connection.cursor() as cursor:
        values: dict[str, int | str] = {"program": program_id, "code": account, "layer": str(Layer.SETTLED)}
        cursor.execute(FUNDS.format(balance=books.BALANCE_NOW), values)
        booked_sat, reserved_sat = cursor.fetchone()
    if booked_sat is None:
        raise books.AccountMissing(f"The account {account} was never opened.", accounts=[account])
    return Funds(booked_sat=booked_sat, reserved_sat=reserved_sat)


def hold(program_id: int) -> Funds:
    """Return the funds, which nobody else promises or spends on fees until the database transaction ends.

    It is a lock of its own, after the wallet's row and before the budget period's, so that lists are approved while others
    are sealed: what a payout takes was promised to its list before.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [program_id])
    return of_program(program_id)


def require(program_id: int, owed_sat: int, *, fees_sat: int) -> None:
    """Raise InsufficientFunds with the figures unless the wallet can carry so much more. They are held."""
    held, need_sat = hold(program_id), owed_sat + fees_sat
    if need_sat > held.available_sat:
        raise InsufficientFunds(
            f"The list needs {need_sat:,} sat (payments {owed_sat:,}, fees at most {fees_sat:,}); "
            f"{held.available_sat:,} sat are free.",
            needed_sat=need_sat,
            available_sat=held.available_sat,
            booked_sat=held.booked_sat,
            reserved_sat=held.reserved_sat,
        )
