"""Each change of a status writes its event, whoever makes it; a number that was given stays.

What was changed before gets events too, which the next sweep numbers in the order of writing.
"""

from django.db import migrations

# ENABLE ALWAYS: they fire in replica mode too, which an ordinary trigger does not. search_path is fixed, with pg_temp last,
# as in the ledger's 0002.
EVENTS_OF = """
INSERT INTO payments_event (change_id, program_id)
SELECT n.id, coalesce(d.program_id, pd.program_id, ow.program_id, iw.program_id)
FROM {changes} n
LEFT JOIN payments_disbursement d ON n.subject = 'disbursement' AND d.id = n.subject_id
LEFT JOIN payments_payment p ON n.subject = 'payment' AND p.id = n.subject_id
LEFT JOIN payments_disbursement pd ON pd.id = p.disbursement_id
LEFT JOIN payments_payout o ON n.subject = 'payout' AND o.id = n.subject_id
LEFT JOIN payments_wallet ow ON ow.id = o.wallet_id
LEFT JOIN payments_intervention i ON n.subject = 'intervention' AND i.id = n.subject_id
LEFT JOIN payments_wallet iw ON iw.id = i.wallet_id
WHERE coalesce(d.program_id, pd.program_id, ow.program_id, iw.program_id) IS NOT NULL
"""
FORWARD = f"""
CREATE FUNCTION payments_write_events() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    {EVENTS_OF.format(changes="changes")};
    RETURN NULL;
END $$;
CREATE TRIGGER statuschange_events AFTER INSERT ON payments_statuschange REFERENCING NEW TABLE AS changes
    FOR EACH STATEMENT EXECUTE FUNCTION payments_write_events();
ALTER TABLE payments_statuschange ENABLE ALWAYS TRIGGER statuschange_events;

CREATE FUNCTION payments_keep_event() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'An event keeps its number and what it is of.' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER event_kept BEFORE UPDATE ON payments_event FOR EACH ROW
    WHEN (OLD.number IS NOT NULL OR (OLD.change_id, OLD.program_id) IS DISTINCT FROM (NEW.change_id, NEW.program_id))
    EXECUTE FUNCTION payments_keep_event();
ALTER TABLE payments_event ENABLE ALWAYS TRIGGER event_kept;
{EVENTS_OF.format(changes="payments_statuschange")} ORDER BY n.id;
"""
BACKWARD = """
DROP TRIGGER event_kept ON payments_event;
DROP FUNCTION payments_keep_event();
DROP TRIGGER statuschange_events ON payments_statuschange;
DROP FUNCTION payments_write_events();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0026_events")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
