"""What fees may cost at most: a share of the value, a day's budget, a list's reserve; each cap refuses by its own name."""

from django.db import connection

from govpay.errors import GovPayError
from payments.models import Disbursement, Program

# On the database's clock, the one that all workers share.
SPENT_TODAY = """
SELECT coalesce(sum(greatest(t.fee_added_sat, 0)), 0)
FROM payments_payouttx t JOIN payments_payout p ON p.id = t.payout_id
JOIN payments_wallet w ON w.id = p.wallet_id
WHERE w.program_id = %s AND p.status <> 'unsealed' AND p.kind <> 'consolidation'
AND t.built_at >= date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
"""
# The newest version of each payout of the list, and of each child that pays for one: the dearest that may confirm.
SPENT_OF_LIST = """
SELECT coalesce(sum(t.fee_sat), 0) FROM (
    SELECT p.current_id FROM payments_payout p WHERE p.disbursement_id = %(list)s AND p.status <> 'unsealed'
    UNION ALL
    SELECT c.current_id FROM payments_payout c JOIN payments_payout p ON p.id = c.parent_id
    WHERE p.disbursement_id = %(list)s AND c.status NOT IN ('unsealed', 'voided')
) n JOIN payments_payouttx t ON t.id = n.current_id
"""


class FeeOverShare(GovPayError):
    """The fee would be a larger share of what the payout pays than the program allows."""

    code = "fee_over_share"
    http_status = 409
    is_transient = True


class FeeOverBudget(GovPayError):
    """The fee would exceed what the program may spend on fees today."""

    code = "fee_over_budget"
    http_status = 409
    is_transient = True


class FeeOverReserve(GovPayError):
    """The fee would exceed what the approver agreed to."""

    code = "fee_over_reserve"
    http_status = 409


def require(
    program: Program,
    disbursement: Disbursement | None,
    *,
    payments_sat: int,
    fee_sat: int,
    added_sat: int,
    rest_sat: int = 0,
) -> None:
    """Raise the first cap that is broken: FeeOverShare, FeeOverBudget, FeeOverReserve, each with its figures.

    ``fee_sat`` is all that this payout would cost, ``added_sat`` the part of it that is new, and ``rest_sat`` what the
    list's reserve must pay for besides. Hold the wallet's row, so that two workers do not spend one budget twice.
    """
    _require_share(program, payments_sat=payments_sat, fee_sat=fee_sat)
    require_budget(program, added_sat)
    if disbursement is not None:
        _require_reserve(disbursement, added_sat + rest_sat)


def _require_share(program: Program, *, payments_sat: int, fee_sat: int) -> None:
    bps = program.fee_share_ceiling_bps
    # An anchor pays nobody: no share of it can be too large, and the other caps bind.
    if payments_sat and fee_sat * 10_000 > payments_sat * bps:
        raise FeeOverShare(
            f"A fee of {fee_sat} sat is more than {bps / 100:g} % of the {payments_sat} sat that are paid with it.",
            fee_sat=fee_sat,
            payments_sat=payments_sat,
            ceiling_bps=bps,
            most_sat=payments_sat * bps // 10_000,
        )


def require_budget(program: Program, added_sat: int) -> None:
    """Raise FeeOverBudget when this much more exceeds what the program may spend on fees today."""
    budget_sat = program.fee_budget_daily_sat
    if budget_sat is None:
        return
    spent_sat = spent_today_sat(program)
    if spent_sat + added_sat > budget_sat:
        raise FeeOverBudget(
            f"{added_sat} sat more after the {spent_sat} sat of today (UTC) exceed the program's budget of "
            f"{budget_sat} sat a day.",
            added_sat=added_sat,
            spent_sat=spent_sat,
            budget_sat=budget_sat,
        )


def spent_today_sat(program: Program) -> int:
    """Return what today's versions (UTC, database clock) of the program's payouts added to fees."""
    with connection.cursor() as cursor:
        cursor.execute(SPENT_TODAY, [program.pk])
        return int(cursor.fetchone()[0])


def _require_reserve(disbursement: Disbursement, added_sat: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SPENT_OF_LIST, {"list": disbursement.pk})
        spent_sat = int(cursor.fetchone()[0])
    reserved_sat = disbursement.fee_reserved_sat or 0
    if spent_sat + added_sat > reserved_sat:
        raise FeeOverReserve(
            f"A fee of {added_sat} sat after {spent_sat} sat exceeds the {reserved_sat} sat approved.",
            fee_sat=added_sat,
            spent_sat=spent_sat,
            reserved_sat=reserved_sat,
        )
