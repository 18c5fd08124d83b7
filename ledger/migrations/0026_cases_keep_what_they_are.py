"""Lets nobody make a case another one: what it is about stays, and what a run found changes with a later run only."""

from django.db import migrations

# search_path is fixed, with pg_temp last, as in 0002.
FORWARD = """
CREATE FUNCTION ledger_case_keeps() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.scope, NEW.kind, NEW.unit, NEW.payment_id, NEW.vout, NEW.first_run_id)
            IS DISTINCT FROM (OLD.id, OLD.scope, OLD.kind, OLD.unit, OLD.payment_id, OLD.vout, OLD.first_run_id)
        OR NEW.proposal < OLD.proposal OR NEW.last_run_id < OLD.last_run_id
        OR (NEW.last_run_id = OLD.last_run_id
            AND (NEW.expected, NEW.found, NEW.message, NEW.amount_sat, NEW.payout_id, NEW.txid)
            IS DISTINCT FROM (OLD.expected, OLD.found, OLD.message, OLD.amount_sat, OLD.payout_id, OLD.txid))
        OR ((NEW.opened_at, NEW.opened_height) IS DISTINCT FROM (OLD.opened_at, OLD.opened_height)
            AND (OLD.status, NEW.status) <> ('closed', 'open'))
    THEN
        RAISE EXCEPTION 'Case % stays what it is about, and what its last run found.', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER case_keeps BEFORE UPDATE ON ledger_case FOR EACH ROW EXECUTE FUNCTION ledger_case_keeps();
ALTER TABLE ledger_case ENABLE ALWAYS TRIGGER case_keeps;
"""
BACKWARD = "DROP TRIGGER case_keeps ON ledger_case; DROP FUNCTION ledger_case_keeps()"


class Migration(migrations.Migration):
    dependencies = [("ledger", "0025_cases_in_suspense")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
