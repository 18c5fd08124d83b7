"""Whoever changes what a payment or a change output of a payout says leaves a trace on the payout, where reconciliation looks.

Reconciliation reads again what was written since the last run, by the payouts' own rows, because those of payments are too
many to look through every day.
"""

from django.db import migrations

# ENABLE ALWAYS: they fire in replica mode too, which an ordinary trigger does not. One trace a database transaction is enough.
# search_path is fixed, with pg_temp last, as in the ledger's 0002.
FORWARD = """
CREATE FUNCTION payments_touch_payout() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE payments_payout SET problem = problem
    WHERE id = OLD.payout_id AND xmin <> pg_current_xact_id()::xid;
    RETURN NULL;
END $$;
CREATE TRIGGER payment_changed AFTER UPDATE OF amount_sat, script_pubkey, payout_id, vout, reissue_of_id
    ON payments_payment FOR EACH ROW
    WHEN (OLD.payout_id IS NOT NULL AND (OLD.amount_sat, OLD.script_pubkey, OLD.payout_id, OLD.vout, OLD.reissue_of_id)
        IS DISTINCT FROM (NEW.amount_sat, NEW.script_pubkey, NEW.payout_id, NEW.vout, NEW.reissue_of_id))
    EXECUTE FUNCTION payments_touch_payout();
CREATE TRIGGER payment_gone AFTER DELETE ON payments_payment FOR EACH ROW
    WHEN (OLD.payout_id IS NOT NULL) EXECUTE FUNCTION payments_touch_payout();
ALTER TABLE payments_payment ENABLE ALWAYS TRIGGER payment_changed;
ALTER TABLE payments_payment ENABLE ALWAYS TRIGGER payment_gone;

CREATE FUNCTION payments_touch_payout_of_version() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE payments_payout SET problem = problem
    WHERE id = (SELECT payout_id FROM payments_payouttx WHERE id = OLD.version_id)
        AND xmin <> pg_current_xact_id()::xid;
    RETURN NULL;
END $$;
CREATE TRIGGER changeoutput_changed AFTER UPDATE OR DELETE ON payments_changeoutput FOR EACH ROW
    EXECUTE FUNCTION payments_touch_payout_of_version();
ALTER TABLE payments_changeoutput ENABLE ALWAYS TRIGGER changeoutput_changed;
"""
BACKWARD = """
DROP TRIGGER changeoutput_changed ON payments_changeoutput;
DROP TRIGGER payment_gone ON payments_payment;
DROP TRIGGER payment_changed ON payments_payment;
DROP FUNCTION payments_touch_payout_of_version();
DROP FUNCTION payments_touch_payout();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0023_stops_are_lifted_by_another")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
