"""Signed bytes are stored once: a version is the same for ever, and nobody takes one away."""

from django.db import migrations

# ENABLE ALWAYS: it fires in replica mode too, which an ordinary trigger does not.
FORWARD = """
CREATE FUNCTION payments_keep_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.raw IS NOT NULL
        OR (NEW.payout_id, NEW.kind, NEW.txid, NEW.unsigned_tx, NEW.fee_sat, NEW.fee_added_sat, NEW.change_sat)
        IS DISTINCT FROM
        (OLD.payout_id, OLD.kind, OLD.txid, OLD.unsigned_tx, OLD.fee_sat, OLD.fee_added_sat, OLD.change_sat)
    THEN
        RAISE EXCEPTION 'A version of a payout is never changed: % of version %', TG_OP, OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payouttx_unchanged BEFORE UPDATE OR DELETE ON payments_payouttx
    FOR EACH ROW EXECUTE FUNCTION payments_keep_version();
ALTER TABLE payments_payouttx ENABLE ALWAYS TRIGGER payouttx_unchanged;
"""
BACKWARD = """
DROP TRIGGER payouttx_unchanged ON payments_payouttx;
DROP FUNCTION payments_keep_version();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0004_payout_without_tx")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
