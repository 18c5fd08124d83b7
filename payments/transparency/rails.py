"""What is published of payments by bank and by voucher: in the program's money, by rail, by the word of banks and agents."""

from typing import Any

from payments.models import Program, Rail
from payments.prices import currency
from payments.transparency import groups
from payments.transparency.groups import NOBODY, Group

# Whose word it is that a payment arrived; of bitcoin nobody's is needed.
WORDS = {Rail.BITCOIN.value: "chain", Rail.BANK.value: "bank", Rail.VOUCHER.value: "desk"}
PAID = """
WITH settled AS MATERIALIZED (
    SELECT d.program_id, m.rail, m.beneficiary_id, m.amount_minor,
        date_trunc('month', m.settled_at AT TIME ZONE 'UTC') AS month
    FROM payments_payment m JOIN payments_disbursement d ON d.id = m.disbursement_id
    WHERE m.rail <> 'bitcoin' AND m.settled_at IS NOT NULL
)
SELECT program_id, rail, to_char(month, 'YYYY-MM'), count(*), count(DISTINCT beneficiary_id), sum(amount_minor)::bigint
FROM settled GROUP BY GROUPING SETS ((program_id, rail), (program_id, rail, month))
ORDER BY program_id, rail, month NULLS FIRST
"""
# What has not arrived, and what has come back: rejected by the bank, expired or cancelled.
OPEN = """
SELECT d.program_id, m.rail, m.status = 'voided', count(*), count(DISTINCT m.beneficiary_id), sum(m.amount_minor)::bigint
FROM payments_payment m JOIN payments_disbursement d ON d.id = m.disbursement_id
WHERE m.rail <> 'bitcoin' AND (m.status = 'voided'
    OR d.status IN ('approved', 'released') AND m.status IN ('pending', 'held') AND m.settled_at IS NULL)
GROUP BY 1, 2, 3
"""
WAITS = """
WITH settled AS (
    SELECT d.program_id, m.rail, m.settled_at - d.approved_at AS took
    FROM payments_payment m JOIN payments_disbursement d ON d.id = m.disbursement_id
    WHERE m.rail <> 'bitcoin' AND m.settled_at IS NOT NULL
)
SELECT program_id, rail, extract(epoch FROM percentile_disc(0.5) WITHIN GROUP (ORDER BY took)),
    extract(epoch FROM percentile_disc(0.95) WITHIN GROUP (ORDER BY took))
FROM settled GROUP BY program_id, rail
"""
Key = tuple[int, str]


def of_programs(programs: list[Program]) -> dict[int, list[dict[str, Any]]]:
    """Return by program what each of its other rails paid, has pending and got back, and how long it took."""
    totals: dict[Key, Group] = {}
    months: dict[Key, dict[str, Group]] = {}
    for program_id, rail, month, *group in groups.rows(PAID):
        if month is None:
            totals[program_id, rail] = Group(*group)
        else:
            months.setdefault((program_id, rail), {})[month] = Group(*group)
    still = {
        (program_id, rail, is_back): Group(*group) for program_id, rail, is_back, *group in groups.rows(OPEN)
    }
    waits = {(program_id, rail): found for program_id, rail, *found in groups.rows(WAITS)}
    used = {*totals, *((program_id, rail) for program_id, rail, _ in still)}
    found: dict[int, list[dict[str, Any]]] = {}
    for program in programs:
        for rail in (Rail.BANK.value, Rail.VOUCHER.value):
            key = (program.pk, rail)
            if key not in used:
                continue
            paid = groups.told(totals.get(key, NOBODY), "amount_minor")
            found.setdefault(program.pk, []).append(
                {
                    "rail": rail,
                    "word": WORDS[rail],
                    "currency": program.currency,
                    "scale": currency.scale(program.currency),
                    "paid": paid,
                    "pending": groups.told(still.get((*key, False), NOBODY), "amount_minor"),
                    "came_back": groups.told(still.get((*key, True), NOBODY), "amount_minor"),
                    "time_to_settle": groups.waits(paid, *waits.get(key, (None, None))),
                    "months": groups.months(months.get(key, {}), "amount_minor"),
                }
            )
    return found
