"""Budget against actual: what was appropriated to a program, what of it is promised, spent and owed, and what is left."""

from ledger.reports.report import CURRENCY, Column, Report, Unit

SQL = """
SELECT scope, entity, function, fund, project, currency, scale, budget, promised, spent, owed,
    budget - promised - spent AS available,
    CASE WHEN budget > 0 THEN round(10000 * (promised + spent)::numeric / budget)::bigint END AS used
FROM (
    SELECT a.scope, a.entity, a.function, a.fund, a.project, a.currency, a.scale,
        coalesce(-sum(s.amount) FILTER (WHERE a.kind = 'equity' AND s.layer = 'settled'), 0)::bigint AS budget,
        coalesce(sum(s.amount) FILTER (WHERE a.kind = 'expense' AND s.layer = 'encumbered'), 0)::bigint AS promised,
        coalesce(sum(s.amount) FILTER (WHERE a.kind = 'expense' AND s.layer = 'settled'), 0)::bigint AS spent,
        coalesce(-sum(s.amount) FILTER (WHERE a.kind = 'liability' AND s.layer = 'settled'), 0)::bigint AS owed
    FROM (
        SELECT p.account_id, p.layer, sum(p.amount) AS amount
        FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id
        WHERE e.effective_at >= coalesce(%(since)s, '-infinity'::timestamptz) AND e.effective_at < %(before)s
        AND e.recorded_at <= %(known_at)s
        GROUP BY p.account_id, p.layer
    ) s JOIN ledger_account a ON a.id = s.account_id
    WHERE %(scope)s::text IS NULL OR a.scope = %(scope)s
    GROUP BY a.scope, a.entity, a.function, a.fund, a.project, a.currency, a.scale
) b
ORDER BY scope, currency, scale, entity, function, fund, project
"""

REPORT = Report(
    name="budget",
    title="Budget against actual",
    meaning="Appropriations, what of them is promised (encumbered), spent (approved to be paid, network fees, and what"
    " was lost) and still owed to people, and what is neither promised nor spent.",
    columns=(
        Column("scope", "Program"),
        Column("entity", "Entity"),
        Column("function", "Function"),
        Column("fund", "Fund"),
        Column("project", "Project"),
        *CURRENCY,
        Column("budget", "Budget", Unit.UNITS),
        Column("promised", "Promised", Unit.UNITS),
        Column("spent", "Spent", Unit.UNITS),
        Column("owed", "Owed", Unit.UNITS),
        Column("available", "Available", Unit.UNITS),
        Column("used", "Used", Unit.SHARE),
    ),
    sql=SQL,
)
