"""Refuses changes of a grievance that no arrow of TRANSITIONS allows, and another clock, secret or lodger, whoever asks."""

from django.db import migrations

# ENABLE ALWAYS: it fires in replica mode too, which an ordinary trigger does not. search_path is fixed, with pg_temp last,
# as in the ledger's 0002.
FORWARD = """
CREATE FUNCTION payments_grievance_moves() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (OLD.program_id, OLD.category, OLD.secret_hash, OLD.lodged_by_id, OLD.lodged_at, OLD.is_proved)
        IS DISTINCT FROM (NEW.program_id, NEW.category, NEW.secret_hash, NEW.lodged_by_id, NEW.lodged_at, NEW.is_proved)
    THEN
        RAISE EXCEPTION 'What was lodged as grievance % stays.', OLD.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.due_at <> NEW.due_at AND NOT (OLD.status = 'answered' AND NEW.status = 'working') THEN
        RAISE EXCEPTION 'The clock of grievance % runs on.', OLD.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.status <> NEW.status AND (OLD.status, NEW.status) NOT IN (
        ('lodged', 'working'), ('lodged', 'withdrawn'), ('working', 'answered'), ('working', 'withdrawn'),
        ('answered', 'working'), ('answered', 'closed'))
    THEN
        RAISE EXCEPTION 'grievance_moves: no grievance goes from % to %.', OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER grievance_moves BEFORE UPDATE ON payments_grievance
    FOR EACH ROW EXECUTE FUNCTION payments_grievance_moves();
ALTER TABLE payments_grievance ENABLE ALWAYS TRIGGER grievance_moves;
"""
BACKWARD = """
DROP TRIGGER grievance_moves ON payments_grievance;
DROP FUNCTION payments_grievance_moves();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0040_grievances")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
