"""The monthly account: by kind and the five elements, the time asked for and the fiscal year up to its end."""

from ledger.reports.report import CURRENCY, ELEMENTS, Column, Report, Unit

SQL = """
SELECT a.kind, a.entity, a.function, a.object, a.fund, a.project, a.currency, a.scale,
    (sum(s.month) * d.sign)::bigint, (sum(s.year) * d.sign)::bigint
FROM (
    SELECT p.account_id, coalesce(sum(p.amount) FILTER (WHERE e.effective_at >= %(since)s), 0) AS month,
        coalesce(sum(p.amount) FILTER (WHERE e.effective_at >= %(year_start)s), 0) AS year
    FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id
    WHERE p.layer = 'settled' AND e.effective_at >= least(%(since)s, %(year_start)s)
    AND e.effective_at < %(before)s AND e.recorded_at <= %(known_at)s
    GROUP BY p.account_id
) s
JOIN ledger_account a ON a.id = s.account_id
CROSS JOIN LATERAL (SELECT CASE WHEN a.kind IN ('asset', 'expense') THEN 1 ELSE -1 END AS sign) d
WHERE %(scope)s::text IS NULL OR a.scope = %(scope)s
GROUP BY a.kind, a.entity, a.function, a.object, a.fund, a.project, a.currency, a.scale, d.sign
ORDER BY array_position(ARRAY['income', 'equity', 'expense', 'asset', 'liability'], a.kind), a.entity, a.function, a.object,
    a.fund, a.project, a.currency, a.scale
"""

REPORT = Report(
    name="monthly-account",
    title="Monthly account",
    meaning="By kind and the five elements: what the month moved, and the fiscal year up to its end. Assets and expenses are"
    " debits minus credits, all else credits minus debits.",
    columns=(
        Column("kind", "Kind"),
        *ELEMENTS,
        *CURRENCY,
        Column("month", "Month", Unit.UNITS),
        Column("year", "Year to date", Unit.UNITS),
    ),
    sql=SQL,
    needs=("since",),
)
