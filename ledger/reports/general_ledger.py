"""The general ledger: for each account what stood before, every line with the balance after it, and what stands then."""

from ledger.reports.report import CURRENCY, Column, Report, Unit

SQL = """
WITH accounts AS MATERIALIZED (
    SELECT * FROM ledger_account a
    WHERE (%(scope)s::text IS NULL OR a.scope = %(scope)s) AND (%(account)s::text IS NULL OR a.code = %(account)s)
), lines AS NOT MATERIALIZED (
    SELECT p.account_id, p.id, p.entry_id, p.amount, p.reference, e.effective_at, e.kind, e.source_ref, e.memo
    FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id
    WHERE p.layer = %(layer)s AND p.account_id IN (SELECT id FROM accounts)
    AND e.effective_at < %(before)s AND e.recorded_at <= %(known_at)s
), earlier AS MATERIALIZED (
    SELECT account_id, sum(amount)::bigint AS amount FROM lines WHERE effective_at < %(since)s GROUP BY account_id
), ends AS MATERIALIZED (
    SELECT account_id, sum(amount)::bigint AS amount FROM lines GROUP BY account_id
), ledger AS (
    SELECT n.account_id, 0 AS place, NULL::timestamptz AS effective_at, NULL::bigint AS entry_id, NULL::bigint AS id,
        '' AS kind, '' AS source_ref, NULL::bigint AS reference, '' AS memo, NULL::bigint AS amount,
        coalesce(b.amount, 0) AS balance
    FROM ends n LEFT JOIN earlier b USING (account_id)
    UNION ALL
    SELECT l.account_id, 1, l.effective_at, l.entry_id, l.id, l.kind, l.source_ref, l.reference, l.memo, l.amount,
        (coalesce(b.amount, 0) + sum(l.amount) OVER (
            PARTITION BY l.account_id ORDER BY l.effective_at, l.entry_id, l.id ROWS UNBOUNDED PRECEDING
        ))::bigint
    FROM lines l LEFT JOIN earlier b USING (account_id)
    WHERE l.effective_at >= coalesce(%(since)s, '-infinity'::timestamptz)
    UNION ALL
    SELECT account_id, 2, NULL, NULL, NULL, '', '', NULL, '', NULL, amount FROM ends
)
SELECT a.code, a.name, a.currency, a.scale, (ARRAY['opening', 'line', 'closing'])[g.place + 1], g.effective_at, g.entry_id,
    g.kind, g.source_ref, g.reference, g.memo, CASE WHEN g.amount > 0 THEN g.amount END,
    CASE WHEN g.amount < 0 THEN -g.amount END, g.balance
FROM ledger g JOIN accounts a ON a.id = g.account_id
ORDER BY a.code, g.place, g.effective_at, g.entry_id, g.id
"""

REPORT = Report(
    name="general-ledger",
    title="General ledger",
    meaning="Each account with what stood before, its lines in order with the balance after each, and what stands then.",
    columns=(
        Column("account", "Account"),
        Column("name", "Name"),
        *CURRENCY,
        Column("row", "Row"),
        Column("effective_at", "Effective", Unit.MOMENT),
        Column("entry_id", "Entry", Unit.NUMBER),
        Column("kind", "Kind"),
        Column("source_ref", "About"),
        Column("reference", "Payment", Unit.NUMBER),
        Column("memo", "Memo"),
        Column("debit", "Debit", Unit.UNITS),
        Column("credit", "Credit", Unit.UNITS),
        Column("balance", "Balance", Unit.UNITS),
    ),
    sql=SQL,
    takes=("scope", "account", "layer"),
    signed=False,
)
