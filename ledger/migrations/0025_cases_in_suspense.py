"""Finds what cases booked to suspense before, and the closed ones of which some is still there."""

from django.db import migrations

FORWARD = """
UPDATE ledger_case c SET suspense_ref = e.source_ref FROM ledger_entry e
WHERE e.kind = 'suspense' AND starts_with(e.idempotency_key, format('suspense:case:%s:', c.id));
UPDATE ledger_case c SET status = 'suspended', closed_at = NULL WHERE c.status = 'closed' AND c.suspense_ref <> ''
AND EXISTS (
    SELECT FROM ledger_entry e JOIN ledger_posting p ON p.entry_id = e.id JOIN ledger_account a ON a.id = p.account_id
    WHERE e.source_ref = c.suspense_ref AND e.scope = c.scope AND p.layer = 'settled'
        AND a.code ~ '^[A-Za-z]+:Suspense(:|$)'
    HAVING sum(p.amount) <> 0
)
"""
# An older version knows neither what is in suspense nor what leads out of it.
BACKWARD = """
UPDATE ledger_case SET status = 'closed', closed_at = coalesce(closed_at, now()), resolution = '', note = '',
    evidence_sha256 = NULL, entry_id = NULL, account_id = NULL, proposed_by_id = NULL, decided_by_id = NULL
WHERE status = 'suspended' OR resolution IN ('account', 'reversal');
SET CONSTRAINTS ALL IMMEDIATE
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0024_suspense_is_cleared")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
