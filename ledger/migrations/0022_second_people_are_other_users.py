"""Lets no user seal the period that they closed, nor agree to the redaction that they asked for, whatever their name."""

from django.db import migrations

# The names differ as well (0005 and 0019), for they are what packs show. search_path is fixed, with pg_temp last, as in
# 0002. The seal's trigger comes after the one that takes the lock, in the order of their names.
FORWARD = """
CREATE FUNCTION ledger_period_is_sealed_by_another() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM (SELECT user_id FROM ledger_periodchange WHERE period_id = NEW.period_id ORDER BY id DESC LIMIT 1) c
        WHERE c.user_id <> NEW.user_id
    ) THEN
        RAISE EXCEPTION 'A period is sealed by a second person than the one who closed it.'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION ledger_redaction_is_agreed_by_another() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM ledger_redactionrequest q WHERE q.id = NEW.request_id AND q.user_id <> NEW.user_id
    ) THEN
        RAISE EXCEPTION 'Leaf % is blacked out by two people or not at all.', NEW.leaf_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER period_sealed_by_another BEFORE INSERT ON ledger_periodchange
    FOR EACH ROW WHEN (NEW.status = 'sealed') EXECUTE FUNCTION ledger_period_is_sealed_by_another();
CREATE TRIGGER redaction_by_another BEFORE INSERT ON ledger_redaction
    FOR EACH ROW EXECUTE FUNCTION ledger_redaction_is_agreed_by_another();
ALTER TABLE ledger_periodchange ENABLE ALWAYS TRIGGER period_sealed_by_another;
ALTER TABLE ledger_redaction ENABLE ALWAYS TRIGGER redaction_by_another;
"""
BACKWARD = """
DROP TRIGGER redaction_by_another ON ledger_redaction;
DROP TRIGGER period_sealed_by_another ON ledger_periodchange;
DROP FUNCTION ledger_redaction_is_agreed_by_another();
DROP FUNCTION ledger_period_is_sealed_by_another();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0021_people_by_id")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
