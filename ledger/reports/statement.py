"""The statement of a program: what it received and paid, what it earned and spent, and what it holds and owes.

Receipts and payments are those of cash-basis IPSAS: what changed the assets taken together, by kind of event, so that coins
on their way from the wallet to people are neither. What undid an event counts against it.
"""

from ledger.reports.report import CURRENCY, Column, Report, Unit

SQL = """
WITH sums AS MATERIALIZED (
    SELECT p.account_id, e.kind, e.effective_at >= coalesce(%(since)s, '-infinity'::timestamptz) AS is_in,
        sum(p.amount) AS amount
    FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id
    WHERE p.layer = 'settled' AND p.account_id IN (SELECT id FROM ledger_account WHERE scope = %(scope)s)
    AND e.effective_at < %(before)s AND e.recorded_at <= %(known_at)s
    GROUP BY p.account_id, e.kind, is_in
), parts AS (
    SELECT a.code, a.name, a.kind, a.currency, a.scale, s.is_in, s.amount,
        regexp_replace(s.kind, '_(reversal|settled|dropped)$', '') AS event
    FROM sums s JOIN ledger_account a ON a.id = s.account_id
), events AS (
    SELECT event, currency, scale, sum(amount) AS amount FROM parts WHERE kind = 'asset' AND is_in
    GROUP BY event, currency, scale
), told AS (
    SELECT 1 AS place, 'held before' AS part, '' AS item, '' AS name, currency, scale,
        coalesce(sum(amount) FILTER (WHERE kind = 'asset' AND NOT is_in), 0) AS amount
    FROM parts GROUP BY currency, scale
    UNION ALL
    SELECT 2, 'receipts', event, '', currency, scale, amount FROM events WHERE amount > 0
    UNION ALL
    SELECT 3, 'payments', event, '', currency, scale, amount FROM events WHERE amount < 0
    UNION ALL
    SELECT 4, 'held after', '', '', currency, scale, coalesce(sum(amount) FILTER (WHERE kind = 'asset'), 0)
    FROM parts GROUP BY currency, scale
    UNION ALL
    SELECT 5, 'income', code, name, currency, scale, -sum(amount) FROM parts WHERE kind = 'income' AND is_in
    GROUP BY code, name, currency, scale
    UNION ALL
    SELECT 6, 'expenses', code, name, currency, scale, sum(amount) FROM parts WHERE kind = 'expense' AND is_in
    GROUP BY code, name, currency, scale
    UNION ALL
    SELECT 7, 'assets', code, name, currency, scale, sum(amount) FROM parts WHERE kind = 'asset'
    GROUP BY code, name, currency, scale
    UNION ALL
    SELECT 8, 'liabilities', code, name, currency, scale, -sum(amount) FROM parts WHERE kind = 'liability'
    GROUP BY code, name, currency, scale
    UNION ALL
    SELECT 9, 'equity', code, name, currency, scale, -sum(amount) FROM parts WHERE kind = 'equity'
    GROUP BY code, name, currency, scale
    UNION ALL
    SELECT 10, 'result', '', '', currency, scale, coalesce(-sum(amount) FILTER (WHERE kind IN ('income', 'expense')), 0)
    FROM parts GROUP BY currency, scale
)
SELECT part, item, name, currency, scale, amount::bigint FROM told ORDER BY currency, scale, place, item
"""

REPORT = Report(
    name="statement",
    title="Statement of a program",
    meaning="What was held before, received and paid, and is held after; income and expenses of the time; assets, which are"
    " liabilities, equity and the result of all time taken together, at its end.",
    columns=(
        Column("part", "Part"),
        Column("item", "Item"),
        Column("name", "Name"),
        *CURRENCY,
        Column("amount", "Amount", Unit.UNITS),
    ),
    sql=SQL,
    needs=("scope",),
)
