"""What lists hold of their program's budget: committed at approval, spent at release, given back when it is not needed.

Only programs that have a budget period are held to one, and those whose people are entitled to money, whose periods and
commitments are in its minor units, whatever the columns are called. A period's row is locked after lists, wallet, payouts
and payments; its totals and a list's commitment move in one database transaction, and CHECK constraints stand behind both.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import BigIntegerField, F, Q, Sum, Value
from django.db.models.expressions import Combinable

from govpay.errors import Conflict
from payments.models import BudgetPeriod, Commitment, Disbursement, Payment, Program
from payments.payout import alarms
from payments.states import DisbursementStatus, PaymentStatus

ALARM = "budget_short"
# Of a list of money the fees are none of its budget's: they are satoshis of the wallet.
# What each list needs by now: a completed one what its settled payouts paid and what all of its payouts cost in fees, a
# released or approved one its lines that are neither withdrawn nor void, and its fee ceiling. A list that needs less gives
# back. One that needs more again, after a reorganization, gets of what is free, the older list first.
FOLLOW = """
WITH needed AS (
    SELECT c.id, c.period_id, c.committed_sat AS held_sat, d.status IN ('released', 'completed') AS is_spent,
        CASE d.status
        WHEN 'completed' THEN (
            SELECT coalesce(sum(coalesce(o.payments_minor, o.payments_sat)) FILTER (WHERE o.status = 'settled'), 0)
                + coalesce(sum(o.booked_fee_sat) FILTER (WHERE d.total_minor IS NULL), 0)
            FROM payments_payout o WHERE o.disbursement_id = d.id
        ) + (
            SELECT coalesce(sum(child.booked_fee_sat) FILTER (WHERE d.total_minor IS NULL), 0)
            FROM payments_payout o JOIN payments_payout child ON child.parent_id = o.id WHERE o.disbursement_id = d.id
        ) + (
            SELECT coalesce(sum(p.amount), 0) FROM payments_payment p
            WHERE d.rail <> 'bitcoin' AND p.disbursement_id = d.id AND p.settled_at IS NOT NULL)
        WHEN 'released' THEN d.total + fees.sat - withdrawn.amount - (
            SELECT coalesce(sum(coalesce(o.payments_minor, o.payments_sat)), 0) FROM payments_payout o
            WHERE o.disbursement_id = d.id AND o.status = 'voided')
        WHEN 'approved' THEN CASE WHEN withdrawn.amount < d.total
            THEN d.total + fees.sat - withdrawn.amount ELSE 0 END
        ELSE 0 END AS need_sat
    FROM payments_commitment c JOIN payments_disbursement d ON d.id = c.disbursement_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(p.amount), 0) AS amount FROM payments_payment p
        WHERE p.disbursement_id = d.id AND d.status IN ('approved', 'released')
            AND (p.status = 'cancelled' OR p.status = 'voided' AND p.rail <> 'bitcoin')
    ) withdrawn
    CROSS JOIN LATERAL (SELECT CASE WHEN d.total_minor IS NULL THEN d.fee_reserved_sat ELSE 0 END AS sat) fees
    WHERE c.disbursement_id = ANY(%s)
), queued AS (
    SELECT n.*, n.need_sat - n.held_sat AS rise_sat,
        least(p.allotted_sat - p.committed_sat, p.cash_released_sat - p.spent_sat) - coalesce(
            sum(greatest(n.need_sat - n.held_sat, 0)) OVER (
                PARTITION BY n.period_id ORDER BY n.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS free_sat
    FROM needed n JOIN payments_budgetperiod p ON p.id = n.period_id
), given AS (
    SELECT *, held_sat + least(rise_sat, greatest(free_sat, 0)) AS now_sat FROM queued
), kept AS (
    UPDATE payments_commitment c SET committed_sat = g.now_sat, missing_sat = g.need_sat - g.now_sat,
        spent_sat = CASE WHEN g.is_spent THEN g.now_sat ELSE 0 END
    FROM given g, payments_commitment old
    WHERE c.id = g.id AND old.id = g.id
    RETURNING c.disbursement_id, c.period_id, c.missing_sat, old.missing_sat AS missed_sat,
        c.committed_sat - old.committed_sat AS committed_sat, c.spent_sat - old.spent_sat AS spent_sat
), moved AS (
    UPDATE payments_budgetperiod p SET committed_sat = p.committed_sat + s.committed_sat,
        spent_sat = p.spent_sat + s.spent_sat
    FROM (SELECT period_id, sum(committed_sat) AS committed_sat, sum(spent_sat) AS spent_sat FROM kept GROUP BY period_id) s
    WHERE p.id = s.period_id AND (s.committed_sat, s.spent_sat) <> (0, 0)
)
SELECT kept.disbursement_id, p.program_id, p.name, kept.missing_sat,
    CASE g.currency WHEN 'sat' THEN g.currency ELSE 'minor units of ' || g.currency END
FROM kept JOIN payments_budgetperiod p ON p.id = kept.period_id JOIN payments_program g ON g.id = p.program_id
WHERE kept.missing_sat > 0 OR kept.missed_sat > 0 ORDER BY kept.disbursement_id
"""


class NoBudgetPeriod(Conflict):
    """The program is held to budgets, and no open period covers the day."""

    code = "no_budget_period"


class OverAllotment(Conflict):
    """More would be committed, or released as cash, than is allotted."""

    code = "over_allotment"


class OverCashRelease(Conflict):
    """More would be spent than was released as cash."""

    code = "over_cash_release"


def figures(period: BudgetPeriod) -> dict[str, Any]:
    """Return the figures of a period for a refusal's details."""
    return {
        "budget_period_id": period.pk,
        "period": period.name,
        "allotted_sat": period.allotted_sat,
        "cash_released_sat": period.cash_released_sat,
        "committed_sat": period.committed_sat,
        "spent_sat": period.spent_sat,
    }


def more(column: str, amount: int) -> Combinable:
    """Return a period's total with so much added.

    Beside a column an integer is taken to be of 32 bits, and loses those that are too many without a word.
    """
    return F(column) + Value(amount, output_field=BigIntegerField())


def lock(period_id: int) -> BudgetPeriod:
    """Return a period whose totals nobody else moves until the database transaction ends."""
    return BudgetPeriod.objects.select_for_update(no_key=True).get(pk=period_id)


def commit(disbursement: Disbursement, *, at: datetime) -> None:
    """Commit what a list that is being approved needs, with its fee ceiling, of the allotment of the day's period.

    The caller holds the list's row. Raises NoBudgetPeriod, OverAllotment with the figures.
    """
    period = _covering(disbursement.program, at)
    if period is not None:
        _commit(disbursement, period)


def spend(disbursement: Disbursement, *, at: datetime) -> None:
    """Spend what a list that is being released has committed, of the cash released in its period.

    A list that was approved before its program had a budget commits first. The caller holds the list's row. Raises
    NoBudgetPeriod, OverAllotment, OverCashRelease with the figures.
    """
    held = Commitment.objects.filter(disbursement=disbursement).select_related("period").first()
    if held is None:
        period = _covering(disbursement.program, at)
        if period is None:
            return
        period, need_sat = _commit(disbursement, period)
    else:
        period, need_sat = lock(held.period_id), held.committed_sat
        _require_open(period, at)
    unit = disbursement.program.unit_words
    if need_sat > period.cash_left_sat:
        raise OverCashRelease(
            f"The list spends {need_sat:,} {unit}; of the cash released in {period} {period.cash_left_sat:,} {unit} are "
            "left.",
            needed_sat=need_sat,
            available_sat=period.cash_left_sat,
            **figures(period),
        )
    BudgetPeriod.objects.filter(pk=period.pk).update(spent_sat=more("spent_sat", need_sat))
    Commitment.objects.filter(disbursement=disbursement).update(spent_sat=need_sat)


def follow(disbursement_ids: Collection[int]) -> None:
    """Let lists hold what they need by now, set-based; it never refuses, because what it follows has happened.

    Sounds an alarm about a list for which a reorganization needs more than is free, and clears it once there is enough.
    """
    mine = Commitment.objects.filter(disbursement__in=disbursement_ids)
    # Periods first, so that the figures are read when nobody else moves them.
    periods = BudgetPeriod.objects.filter(pk__in=mine.values("period")).order_by("pk")
    if not list(periods.select_for_update(no_key=True)):
        return
    with connection.cursor() as cursor:
        cursor.execute(FOLLOW, [list(disbursement_ids)])
        found = cursor.fetchall()
    for disbursement_id, program_id, name, missing_sat, unit in found:
        if missing_sat:
            alarms.sound(
                ALARM,
                subject="disbursement",
                subject_id=disbursement_id,
                program_id=program_id,
                message=f"List {disbursement_id} needs {missing_sat} {unit} more than is free in {name}.",
            )
    enough = [disbursement_id for disbursement_id, _, _, missing_sat, _ in found if not missing_sat]
    alarms.clear_all(ALARM, subject="disbursement", subject_ids=enough, note="The budget holds it again.")


def follow_payouts(payout_ids: Collection[int]) -> None:
    """Let the lists of payouts that are void, or not any more, hold what they need by now."""
    if payout_ids:
        found = Commitment.objects.filter(disbursement__payouts__in=payout_ids).order_by("disbursement")
        follow(list(found.values_list("disbursement", flat=True).distinct()))


def follow_fees(payout_ids: Collection[int]) -> None:
    """Let completed lists hold what their payouts cost by now: a child's fee may come, or change, when its list is done."""
    if payout_ids:
        theirs = Q(disbursement__payouts__in=payout_ids) | Q(disbursement__payouts__children__in=payout_ids)
        done = Commitment.objects.filter(theirs, disbursement__status=DisbursementStatus.COMPLETED)
        follow(list(done.order_by("disbursement").values_list("disbursement", flat=True).distinct()))


def _commit(disbursement: Disbursement, period: BudgetPeriod) -> tuple[BudgetPeriod, int]:
    lines = Payment.objects.filter(disbursement=disbursement, status=PaymentStatus.CANCELLED)
    withdrawn_sat = lines.aggregate(total=Sum("amount"))["total"] or 0
    unit, pays_sat = disbursement.program.unit_words, disbursement.program.pays_sat
    owed_sat = disbursement.total - withdrawn_sat
    fees_sat = (disbursement.fee_reserved_sat or 0) if pays_sat else 0
    need_sat = owed_sat + fees_sat
    if need_sat > period.available_sat:
        raise OverAllotment(
            f"The list needs {need_sat:,} {unit} (payments {owed_sat:,}, fees at most {fees_sat:,}); of what is allotted in "
            f"{period} {period.available_sat:,} {unit} are free.",
            needed_sat=need_sat,
            available_sat=period.available_sat,
            **figures(period),
        )
    BudgetPeriod.objects.filter(pk=period.pk).update(committed_sat=more("committed_sat", need_sat))
    Commitment.objects.create(period=period, disbursement=disbursement, committed_sat=need_sat)
    return period, need_sat


def _covering(program: Program, at: datetime) -> BudgetPeriod | None:
    """Return the open period of the day (UTC), locked; None where the program pays satoshis and has never had one.

    A program of money has one always: its cash comes by the warrants of its periods.
    """
    program_id, day = program.pk, at.astimezone(UTC).date()
    of_program = BudgetPeriod.objects.filter(program_id=program_id)
    of_day = of_program.filter(closed_at=None, first_date__lte=day, last_date__gte=day)
    period = of_day.select_for_update(no_key=True).first()
    if period is None and (of_program.exists() or not program.pays_sat):
        raise NoBudgetPeriod(
            f"No open budget period of the program covers {day}.", program_id=program_id, day=day.isoformat()
        )
    return period


def _require_open(period: BudgetPeriod, at: datetime) -> None:
    day = at.astimezone(UTC).date()
    if not (period.is_open and period.first_date <= day <= period.last_date):
        raise NoBudgetPeriod(
            f"The list is committed in {period}, which is not open on {day}: withdraw it, and list its people in the "
            "period that is.",
            day=day.isoformat(),
            **figures(period),
        )
