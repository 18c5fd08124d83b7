"""Fees: what the network took of each program a month, for how many payments and what they were worth."""

from ledger.reports.report import CURRENCY, Column, Report, Unit

ACCOUNTS = "^Expenses:NetworkFees(:|$)"
SQL = f"""
SELECT scope, month, currency, scale, payouts, payments, paid, fees,
    CASE WHEN payments > 0 THEN round(fees::numeric / payments)::bigint END,
    CASE WHEN paid > 0 THEN round(10000 * fees::numeric / paid)::bigint END
FROM (
    SELECT a.scope, to_char(e.effective_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, a.currency, a.scale,
        count(DISTINCT e.source_ref) FILTER (WHERE e.kind = 'payout_sent') AS payouts,
        coalesce(sum(sign(p.amount)) FILTER (WHERE p.reference IS NOT NULL), 0)::bigint AS payments,
        coalesce(sum(p.amount) FILTER (WHERE p.reference IS NOT NULL), 0)::bigint AS paid,
        coalesce(sum(p.amount) FILTER (WHERE a.kind = 'expense'), 0)::bigint AS fees
    FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id JOIN ledger_account a ON a.id = p.account_id
    WHERE (a.code ~ '{ACCOUNTS}' OR p.reference IS NOT NULL AND a.kind = 'asset' AND e.kind ~ '^payout_(sent|voided)')
    AND p.layer = 'settled' AND (%(scope)s::text IS NULL OR a.scope = %(scope)s)
    AND e.effective_at >= coalesce(%(since)s, '-infinity'::timestamptz) AND e.effective_at < %(before)s
    AND e.recorded_at <= %(known_at)s
    GROUP BY a.scope, month, a.currency, a.scale
) f ORDER BY scope, month, currency, scale
"""  # noqa: S608 - all parts are constants.

REPORT = Report(
    name="fees",
    title="Network fees",
    meaning="What the network took a month, for how many payouts and payments; those that were voided are taken off.",
    columns=(
        Column("scope", "Program"),
        Column("month", "Month"),
        *CURRENCY,
        Column("payouts", "Payouts", Unit.NUMBER),
        Column("payments", "Payments", Unit.NUMBER),
        Column("paid", "Paid", Unit.UNITS),
        Column("fees", "Fees", Unit.UNITS),
        Column("fee_per_payment", "Fee a payment", Unit.UNITS),
        Column("share", "Share of the value", Unit.SHARE),
    ),
    sql=SQL,
)
