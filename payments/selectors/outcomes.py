"""What a program achieves, counted from its rows: each figure with its numerator and its denominator, or none (R-22)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from django.db import connection

from payments.models import OutcomeBaseline, OutcomeFigure, Program, Rail

# Lists that were approved from ``since`` and before ``before``, with all that became of them until now, for all rails
# together and for each. Times are counted by what settles at once, weighed by its payments: a payout, or what one answer of
# a bank or one agent ended. Fees and reconciliation with the chain are of bitcoin alone.
PAID = """
WITH lists AS MATERIALIZED (
    SELECT d.id, d.rail, d.approved_at, d.payment_count FROM payments_disbursement d
    WHERE d.program_id = %(program)s AND d.status IN ('approved', 'released', 'completed')
        AND d.approved_at >= %(since)s AND d.approved_at < %(before)s
), payouts AS MATERIALIZED (
    SELECT p.id, p.payment_count AS payments, p.payments_sat, p.booked_fee_sat, l.approved_at, s.at AS settled_at,
        r.at AS clean_at
    FROM payments_payout p JOIN lists l ON l.id = p.disbursement_id
    CROSS JOIN LATERAL (SELECT max(c.at) AS at FROM payments_statuschange c
        WHERE c.subject = 'payout' AND c.subject_id = p.id AND c.new = 'settled') s
    LEFT JOIN LATERAL (SELECT min(r.finished_at) AS at FROM ledger_reconciliationrun r
        WHERE r.scope = %(scope)s AND r.status = 'clean' AND r.started_at >= s.at) r ON true
    WHERE p.status = 'settled' AND p.payment_count > 0
), settled AS (
    SELECT 'bitcoin' AS rail, payments, settled_at - approved_at AS took FROM payouts
    UNION ALL
    SELECT l.rail, count(*), m.settled_at - l.approved_at
    FROM lists l JOIN payments_payment m ON m.disbursement_id = l.id
    WHERE l.rail <> 'bitcoin' AND m.settled_at IS NOT NULL GROUP BY l.rail, l.id, l.approved_at, m.settled_at
), failed AS (
    SELECT 'bitcoin' AS rail, p.payment_count AS payments FROM payments_payout p JOIN lists l ON l.id = p.disbursement_id
    WHERE p.status IN ('voiding', 'voided')
    UNION ALL
    SELECT l.rail, count(*) FROM lists l JOIN payments_payment m ON m.disbursement_id = l.id
    WHERE l.rail <> 'bitcoin' AND m.status = 'voided' GROUP BY l.rail
), waits AS (
    SELECT g.rail, s.payments, extract(epoch FROM s.took) AS seconds,
        sum(s.payments) OVER (PARTITION BY g.rail ORDER BY s.took ROWS UNBOUNDED PRECEDING) AS until,
        sum(s.payments) OVER (PARTITION BY g.rail) AS measured
    FROM settled s CROSS JOIN LATERAL (VALUES (s.rail), ('')) AS g(rail)
), checks AS (
    SELECT payments, extract(epoch FROM clean_at - settled_at) AS seconds,
        sum(payments) OVER (ORDER BY clean_at - settled_at, id) AS until, sum(payments) OVER () AS measured
    FROM payouts WHERE clean_at IS NOT NULL
)
SELECT g.rail,
    (SELECT coalesce(sum(payment_count), 0)::bigint FROM lists l WHERE g.rail IN ('', l.rail)) AS approved,
    (SELECT coalesce(sum(payments), 0)::bigint FROM settled s WHERE g.rail IN ('', s.rail)) AS settled,
    (SELECT coalesce(sum(payments), 0)::bigint FROM failed f WHERE g.rail IN ('', f.rail)) AS failed,
    (SELECT min(seconds) FROM waits w WHERE w.rail = g.rail AND until >= measured * 0.5) AS settled_p50,
    (SELECT min(seconds) FROM waits w WHERE w.rail = g.rail AND until >= measured * 0.95) AS settled_p95,
    (SELECT coalesce(sum(payments_sat), 0)::bigint FROM payouts) AS paid_sat,
    (SELECT coalesce(sum(booked_fee_sat), 0)::bigint FROM payouts) + (
        SELECT coalesce(sum(c.booked_fee_sat), 0)::bigint FROM payments_payout c JOIN payouts s ON s.id = c.parent_id
    ) AS fees_sat,
    (SELECT coalesce(sum(payments), 0)::bigint FROM checks) AS reconciled,
    (SELECT min(seconds) FROM checks WHERE until >= measured * 0.95) AS reconciled_p95
FROM (VALUES (''), ('bitcoin'), ('bank'), ('voucher')) AS g(rail)
"""
# Lists say how many lines they have; only the lines that something happened to are looked at.
HELD = """
WITH lists AS MATERIALIZED (
    SELECT id, payment_count FROM payments_disbursement
    WHERE program_id = %(program)s AND submitted_at >= %(since)s AND submitted_at < %(before)s
)
SELECT (SELECT coalesce(sum(payment_count), 0)::bigint FROM lists), (
    SELECT count(*) FROM payments_payment m JOIN lists l ON l.id = m.disbursement_id
    WHERE m.id IN (SELECT c.subject_id FROM payments_statuschange c WHERE c.subject = 'payment' AND c.new = 'held')
        AND NOT EXISTS (SELECT FROM payments_hold h WHERE h.payment_id = m.id AND h.rule = 'unclaimed'))
"""
# Of the payments on lists released in a span of time, those that anybody complained of, but for who took it back.
DISPUTED = """
WITH lists AS MATERIALIZED (
    SELECT id, payment_count FROM payments_disbursement
    WHERE program_id = %(program)s AND released_at >= %(since)s AND released_at < %(before)s
)
SELECT (SELECT coalesce(sum(payment_count), 0)::bigint FROM lists) - (
    SELECT count(*) FROM payments_payment m JOIN lists l ON l.id = m.disbursement_id WHERE m.status = 'cancelled'
), (
    SELECT count(DISTINCT m.id) FROM payments_grievance g JOIN payments_payment m ON m.id = g.payment_id
    JOIN lists l ON l.id = m.disbursement_id WHERE g.status <> 'withdrawn' AND m.status <> 'cancelled')
"""
# Of the lines on lists released in a span of time, those that wait for their person or have expired; what another list pays
# counts once, there.
UNCLAIMED = """
WITH lists AS MATERIALIZED (
    SELECT id, payment_count FROM payments_disbursement
    WHERE program_id = %(program)s AND released_at >= %(since)s AND released_at < %(before)s
)
SELECT (SELECT coalesce(sum(payment_count), 0)::bigint FROM lists) - (
    SELECT count(*) FROM payments_payment m JOIN lists l ON l.id = m.disbursement_id
    LEFT JOIN payments_entitlement e ON e.payment_id = m.id
    WHERE m.status = 'cancelled' AND e.status IS DISTINCT FROM 'expired'
), (
    SELECT count(*) FROM payments_entitlement e JOIN payments_payment m ON m.id = e.payment_id
    JOIN lists l ON l.id = m.disbursement_id
    WHERE e.status = 'expired' OR e.status = 'waiting' AND m.status <> 'cancelled')
"""
# Of those whose time is up, or that were answered. One that was answered, disputed and not answered again is not.
ANSWERED = """
SELECT count(*), count(*) FILTER (WHERE g.status IN ('answered', 'closed') AND g.answered_at <= g.due_at)
FROM payments_grievance g
WHERE g.program_id = %(program)s AND g.lodged_at >= %(since)s AND g.lodged_at < %(before)s
    AND g.status <> 'withdrawn' AND (g.status IN ('answered', 'closed') OR g.due_at <= now())
"""
# The codes of rows that would have entered or paid somebody twice.
DUPLICATES = (
    "national_id_duplicate",
    "person_enrolled",
    "reference_duplicate",
    "reference_taken",
    "person_in_cycle",
)
STOPPED = """
SELECT coalesce(sum(i.rows_total), 0)::bigint, coalesce(sum(e.rows), 0)::bigint
FROM payments_intake i CROSS JOIN LATERAL (
    SELECT count(DISTINCT e.row) AS rows FROM payments_intakeerror e
    WHERE e.intake_id = i.id AND e.row > 0 AND e.code = ANY(%(duplicates)s)) e
WHERE i.program_id = %(program)s AND i.created_at >= %(since)s AND i.created_at < %(before)s
"""


# What is counted unless somebody asks for another span of time.
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Measure:
    """A numerator and its denominator; ``seconds`` is set where the value is a time that so many of so many took."""

    numerator: int
    denominator: int
    seconds: int | None = None

    @property
    def ratio(self) -> Fraction | None:
        """The numerator for one of the denominator; None where nothing was counted."""
        return Fraction(self.numerator, self.denominator) if self.denominator else None


@dataclass(frozen=True)
class Outcome:
    """A figure, what it is now, and what it was before by the word of a source, where somebody entered that.

    ``by_rail`` is what it is on each rail on which lists were approved, where it is not about bitcoin alone.
    """

    figure: OutcomeFigure
    now: Measure
    baseline: OutcomeBaseline | None
    by_rail: dict[str, Measure] = field(default_factory=dict)


class _Paid(NamedTuple):
    """What became of the approved lists of a rail, or of all: payments, times in seconds; satoshis of those in bitcoin."""

    approved: int
    settled: int
    failed: int
    settled_p50: float | None
    settled_p95: float | None
    paid_sat: int
    fees_sat: int
    reconciled: int
    reconciled_p95: float | None

    def measures(self) -> dict[OutcomeFigure, Measure]:
        """Return the figures that any rail has."""
        return {
            OutcomeFigure.SETTLED_SHARE: Measure(self.settled, self.approved),
            OutcomeFigure.APPROVED_TO_SETTLED_P50: Measure(
                self.settled, self.approved, _whole(self.settled_p50)
            ),
            OutcomeFigure.APPROVED_TO_SETTLED_P95: Measure(
                self.settled, self.approved, _whole(self.settled_p95)
            ),
            OutcomeFigure.FAILED_SHARE: Measure(self.failed, self.approved),
        }


def of_program(program: Program, *, since: datetime, before: datetime) -> list[Outcome]:
    """Return every figure of a program over lists approved, lists submitted and files brought in a span of time."""
    values = {"program": program.pk, "scope": program.scope, "since": since, "before": before}
    rails = {rail: _Paid._make(paid) for rail, *paid in _rows(PAID, values)}
    paid, in_bitcoin = rails.pop(""), rails[Rail.BITCOIN]
    lines, held = _row(HELD, values)
    released, disputed = _row(DISPUTED, values)
    lines_out, unclaimed = _row(UNCLAIMED, values)
    due, in_time = _row(ANSWERED, values)
    rows, stopped = _row(STOPPED, values | {"duplicates": list(DUPLICATES)})
    measures = {
        **paid.measures(),
        OutcomeFigure.COST_PER_PAYMENT: Measure(in_bitcoin.fees_sat, in_bitcoin.settled),
        OutcomeFigure.COST_SHARE: Measure(in_bitcoin.fees_sat, in_bitcoin.paid_sat),
        OutcomeFigure.HELD_SHARE: Measure(held, lines),
        OutcomeFigure.DUPLICATES_STOPPED: Measure(stopped, rows),
        OutcomeFigure.SETTLED_TO_RECONCILED_P95: Measure(
            in_bitcoin.reconciled, in_bitcoin.settled, _whole(in_bitcoin.reconciled_p95)
        ),
        OutcomeFigure.DISPUTED_SHARE: Measure(disputed, released),
        OutcomeFigure.UNCLAIMED_SHARE: Measure(unclaimed, lines_out),
        OutcomeFigure.ANSWERED_IN_TIME: Measure(in_time, due),
    }
    newest = OutcomeBaseline.objects.filter(program=program).select_related("entered_by")
    baselines = {row.figure: row for row in newest.order_by("figure", "-pk").distinct("figure")}
    used = {rail: found.measures() for rail, found in rails.items() if found.approved}
    return [
        Outcome(
            figure,
            measures[figure],
            baselines.get(figure),
            {rail: found[figure] for rail, found in used.items() if figure in found},
        )
        for figure in OutcomeFigure
    ]


def _row(sql: str, values: dict[str, Any]) -> tuple[Any, ...]:
    (found,) = _rows(sql, values)
    return found


def _rows(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)
