"""Suspense ageing: what nobody knows yet, item by item, since when it has been standing there.

An item is what its entries are about (their source); it is gone once they sum to zero. A suspense account is one whose code
has Suspense in its second place, such as Liabilities:Suspense:P7.
"""

from ledger.chart import SUSPENSE
from ledger.reports.report import CURRENCY, Column, Report, Unit

ITEMS = f"""
SELECT a.scope, a.code, a.name, a.currency, a.scale, i.item, i.since_at, i.amount,
    floor(extract(epoch FROM %(before)s - i.since_at) / 86400)::bigint AS days
FROM (
    SELECT p.account_id, min(e.effective_at) AS since_at, sum(p.amount)::bigint AS amount,
        CASE WHEN e.source_ref = '' THEN 'entry:' || coalesce(e.reversal_of_id, e.id) ELSE e.source_ref END AS item
    FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id
    WHERE p.account_id IN (SELECT id FROM ledger_account WHERE code ~ '{SUSPENSE}'
        AND (%(scope)s::text IS NULL OR scope = %(scope)s))
    AND p.layer = 'settled' AND e.effective_at < %(before)s AND e.recorded_at <= %(known_at)s
    GROUP BY p.account_id, item HAVING sum(p.amount) <> 0
) i JOIN ledger_account a ON a.id = i.account_id
"""  # noqa: S608 - all parts are constants.
SQL = f"""
SELECT scope, code, name, item, currency, scale, since_at, days,
    CASE WHEN days <= 30 THEN '0-30' WHEN days <= 60 THEN '31-60' WHEN days <= 90 THEN '61-90'
        WHEN days <= 180 THEN '91-180' ELSE 'over 180' END, amount
FROM ({ITEMS}) i ORDER BY code, since_at, item
"""  # noqa: S608 - all parts are constants.

REPORT = Report(
    name="suspense",
    title="Suspense ageing",
    meaning="What stands on suspense accounts at the end, by what it is about, with its age in days since it came.",
    columns=(
        Column("scope", "Program"),
        Column("account", "Account"),
        Column("name", "Name"),
        Column("item", "Item"),
        *CURRENCY,
        Column("since_at", "Since", Unit.MOMENT),
        Column("days", "Days", Unit.NUMBER),
        Column("bucket", "Age"),
        Column("amount", "Amount", Unit.UNITS),
    ),
    sql=SQL,
    has_beginning=False,
)
