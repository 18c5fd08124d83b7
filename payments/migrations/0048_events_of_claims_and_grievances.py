"""Changes of entitlements and grievances write events too.

Those that there are get theirs now: the next sweep numbers them, after all that was told before.
"""

from importlib import import_module

from django.db import migrations

before = import_module("payments.migrations.0027_events_written")

OF_CLAIMS = """
SELECT n.id, d.program_id FROM {changes} n JOIN payments_entitlement e ON e.id = n.subject_id
JOIN payments_payment p ON p.id = e.payment_id JOIN payments_disbursement d ON d.id = p.disbursement_id
WHERE n.subject = 'entitlement'
"""
OF_GRIEVANCES = """
SELECT n.id, g.program_id FROM {changes} n JOIN payments_grievance g ON g.id = n.subject_id
WHERE n.subject = 'grievance'
"""
# One branch a subject: a statement's changes are read once for each, and only the branch that has some joins anything.
EVENTS_OF = f"""
INSERT INTO payments_event (change_id, program_id)
SELECT n.id, d.program_id FROM {{changes}} n JOIN payments_disbursement d ON d.id = n.subject_id
WHERE n.subject = 'disbursement'
UNION ALL
SELECT n.id, d.program_id FROM {{changes}} n JOIN payments_payment p ON p.id = n.subject_id
JOIN payments_disbursement d ON d.id = p.disbursement_id
WHERE n.subject = 'payment'
UNION ALL
SELECT n.id, w.program_id FROM {{changes}} n JOIN payments_payout o ON o.id = n.subject_id
JOIN payments_wallet w ON w.id = o.wallet_id
WHERE n.subject = 'payout'
UNION ALL
SELECT n.id, w.program_id FROM {{changes}} n JOIN payments_intervention i ON i.id = n.subject_id
JOIN payments_wallet w ON w.id = i.wallet_id
WHERE n.subject = 'intervention'
UNION ALL {OF_CLAIMS} UNION ALL {OF_GRIEVANCES}
"""
# search_path is fixed, with pg_temp last, as in the ledger's 0002.
FUNCTION = """
CREATE OR REPLACE FUNCTION payments_write_events() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    {events};
    RETURN NULL;
END $$;
"""
FORWARD = FUNCTION.format(events=EVENTS_OF.format(changes="changes"))
FILL = f"""
INSERT INTO payments_event (change_id, program_id)
{OF_CLAIMS.format(changes="payments_statuschange")} UNION ALL {OF_GRIEVANCES.format(changes="payments_statuschange")}
ON CONFLICT DO NOTHING
"""
# Their events stay: a number that was given is never taken back.
BACKWARD = FUNCTION.format(events=before.EVENTS_OF.format(changes="changes"))


class Migration(migrations.Migration):
    dependencies = [("payments", "0047_quotes_never_change")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD), migrations.RunSQL(FILL, migrations.RunSQL.noop)]
