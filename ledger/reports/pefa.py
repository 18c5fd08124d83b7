"""The figures behind PEFA's indicator PI-27, financial data integrity (PEFA Framework 2016), from live data.

They are figures, not a score: who assesses takes more into account. Where a figure alone meets one of the framework's bounds
in time (7, 28 and 56 days for PI-27.1), the letter of that bound stands beside it.
"""

from ledger.reports import suspense
from ledger.reports.report import Column, Report, Unit

SQL = f"""
WITH held AS MATERIALIZED (
    SELECT a.scope, min(e.effective_at) AS first_at
    FROM ledger_account a JOIN ledger_posting p ON p.account_id = a.id JOIN ledger_entry e ON e.id = p.entry_id
    WHERE a.kind = 'asset' AND (%(scope)s::text IS NULL OR a.scope = %(scope)s)
    AND e.effective_at < %(before)s AND e.recorded_at <= %(known_at)s
    GROUP BY a.scope
), clean AS MATERIALIZED (
    SELECT r.scope, r.finished_at FROM ledger_reconciliationrun r
    WHERE r.status = 'clean' AND r.finished_at < %(before)s AND r.finished_at <= %(known_at)s
), month_ends AS (
    SELECT m AS ended_at FROM generate_series(
        (date_trunc('month', coalesce(%(since)s, %(year_start)s) AT TIME ZONE 'UTC') + interval '1 month')
            AT TIME ZONE 'UTC',
        %(before)s::timestamptz - interval '1 microsecond', interval '1 month') m
), delays AS MATERIALIZED (
    SELECT h.scope, m.ended_at, min(c.finished_at) AS reconciled_at,
        extract(epoch FROM coalesce(min(c.finished_at), %(before)s) - m.ended_at) / 86400 AS days
    FROM held h JOIN month_ends m ON m.ended_at > h.first_at
    LEFT JOIN clean c ON c.scope = h.scope AND c.finished_at >= m.ended_at
    GROUP BY h.scope, m.ended_at
), months AS MATERIALIZED (
    SELECT h.scope, count(d.ended_at) AS ended, count(d.reconciled_at) AS reconciled,
        round(avg(d.days), 1) AS mean, round(max(d.days), 1) AS longest
    FROM held h LEFT JOIN delays d ON d.scope = h.scope GROUP BY h.scope
), last_clean AS MATERIALIZED (
    SELECT h.scope, extract(epoch FROM %(before)s - max(c.finished_at)) / 86400 AS days
    FROM held h LEFT JOIN clean c ON c.scope = h.scope GROUP BY h.scope
), items AS MATERIALIZED ({suspense.ITEMS}
), entries AS (
    SELECT count(*) AS all_count, count(*) FILTER (WHERE e.approver <> '') AS approved_count,
        count(f.entry_id) AS sealed_count
    FROM ledger_entry e LEFT JOIN ledger_leaf f ON f.entry_id = e.id
    WHERE e.effective_at < %(before)s AND e.recorded_at <= %(known_at)s AND (%(scope)s::text IS NULL OR e.scope = %(scope)s)
), figures AS (
    SELECT 10 AS place, 'PI-27.1' AS indicator, scope, 'days since the last clean reconciliation' AS figure,
        round(days, 1) AS value, 'days' AS unit FROM last_clean
    UNION ALL
    SELECT 11, 'PI-27.1', scope, 'months that ended since the first entry', ended, 'months' FROM months
    UNION ALL
    SELECT 12, 'PI-27.1', scope, 'months reconciled', reconciled, 'months' FROM months
    UNION ALL
    SELECT 13, 'PI-27.1', scope, 'days to reconcile, mean over the months', mean, 'days' FROM months
    UNION ALL
    SELECT 14, 'PI-27.1', scope, 'days to reconcile, longest', longest, 'days' FROM months
    UNION ALL
    SELECT 15, 'PI-27.1', '', 'accounts', count(*), 'accounts' FROM held
    UNION ALL
    SELECT 15 + n, 'PI-27.1', '', format('accounts reconciled in the last %%s days', bound),
        round(10000.0 * count(*) FILTER (WHERE days <= bound) / nullif(count(*), 0)), 'share in 1/10,000'
    FROM last_clean CROSS JOIN (VALUES (1, 7), (2, 28), (3, 56)) v (n, bound) GROUP BY n, bound
    UNION ALL
    SELECT 20, 'PI-27.2', '', 'open items in suspense', count(*), 'items' FROM items
    UNION ALL
    SELECT 21, 'PI-27.2', '', 'age of the oldest item in suspense', max(days), 'days' FROM items
    UNION ALL
    SELECT 22, 'PI-27.2', '', 'items in suspense for more than 31 days', count(*) FILTER (WHERE days > 31), 'items'
    FROM items
    UNION ALL
    SELECT 40, 'PI-27.4', '', 'entries', all_count, 'entries' FROM entries
    UNION ALL
    SELECT 41, 'PI-27.4', '', 'entries that a second person approved', approved_count, 'entries' FROM entries
    UNION ALL
    SELECT 42, 'PI-27.4', '', 'entries sealed in the tree', sealed_count, 'entries' FROM entries
    UNION ALL
    SELECT 43, 'PI-27.4', '', 'days since the last signed checkpoint',
        round((extract(epoch FROM %(before)s - max(signed_at)) / 86400)::numeric, 1), 'days' FROM ledger_checkpoint
    WHERE signed_at < %(before)s AND signed_at <= %(known_at)s
)
SELECT indicator, scope, figure, value, unit,
    CASE WHEN value IS NULL OR figure <> 'days to reconcile, longest' THEN ''
        WHEN value <= 7 THEN 'A' WHEN value <= 28 THEN 'B' WHEN value <= 56 THEN 'C' ELSE 'D' END
FROM figures ORDER BY place, scope
"""  # noqa: S608 - all parts are constants.

REPORT = Report(
    name="pefa-27",
    title="PEFA PI-27: financial data integrity",
    meaning="Days to reconcile after each month's end (of what is not reconciled yet, the days so far), accounts reconciled,"
    " age of suspense, and who stands behind the entries. An account is what one program holds. The months are those that"
    " ended since its first entry, without a beginning those of the fiscal year; where there is none, there is no figure.",
    columns=(
        Column("indicator", "Dimension"),
        Column("scope", "Program"),
        Column("figure", "Figure"),
        Column("value", "Value", Unit.NUMBER),
        Column("unit", "Unit"),
        Column("bound", "Bound met"),
    ),
    sql=SQL,
)
