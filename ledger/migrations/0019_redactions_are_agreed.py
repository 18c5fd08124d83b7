"""Salts and bytes of leaves may be deleted where two people agreed to it, and nothing else of the seals ever."""

from django.db import migrations

# search_path is fixed, with pg_temp last, as in 0002.
FORWARD = """
CREATE FUNCTION ledger_refuse_unredacted() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger_redaction r WHERE r.leaf_id = OLD.leaf_id) THEN
        RAISE EXCEPTION 'The books are never changed: DELETE on % is refused, nobody agreed to black out leaf %.',
            TG_TABLE_NAME, OLD.leaf_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION ledger_redaction_is_agreed() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.approved_by = '' OR NOT EXISTS (
        SELECT FROM ledger_redactionrequest q WHERE q.id = NEW.request_id AND q.leaf_id = NEW.leaf_id
            AND q.asked_by <> NEW.approved_by
    ) THEN
        RAISE EXCEPTION 'Leaf % is blacked out by two people or not at all.', NEW.leaf_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION ledger_redaction_is_whole() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM ledger_leafsalt s WHERE s.leaf_id = NEW.leaf_id)
        OR EXISTS (SELECT FROM ledger_leafpayload d WHERE d.leaf_id = NEW.leaf_id) THEN
        RAISE EXCEPTION 'Leaf % is blacked out, and its salt or its bytes are still there.', NEW.leaf_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

DROP TRIGGER leafsalt_unchanged ON ledger_leafsalt;
DROP TRIGGER leafpayload_unchanged ON ledger_leafpayload;
CREATE TRIGGER leafsalt_unchanged BEFORE UPDATE OR TRUNCATE ON ledger_leafsalt
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER leafpayload_unchanged BEFORE UPDATE OR TRUNCATE ON ledger_leafpayload
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER leafsalt_kept BEFORE DELETE ON ledger_leafsalt
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_unredacted();
CREATE TRIGGER leafpayload_kept BEFORE DELETE ON ledger_leafpayload
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_unredacted();
CREATE TRIGGER redaction_agreed BEFORE INSERT ON ledger_redaction
    FOR EACH ROW EXECUTE FUNCTION ledger_redaction_is_agreed();
CREATE CONSTRAINT TRIGGER redaction_whole AFTER INSERT ON ledger_redaction DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ledger_redaction_is_whole();
CREATE TRIGGER redaction_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_redaction
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER redactionrequest_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_redactionrequest
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_leafsalt ENABLE ALWAYS TRIGGER leafsalt_unchanged;
ALTER TABLE ledger_leafsalt ENABLE ALWAYS TRIGGER leafsalt_kept;
ALTER TABLE ledger_leafpayload ENABLE ALWAYS TRIGGER leafpayload_unchanged;
ALTER TABLE ledger_leafpayload ENABLE ALWAYS TRIGGER leafpayload_kept;
ALTER TABLE ledger_redaction ENABLE ALWAYS TRIGGER redaction_agreed;
ALTER TABLE ledger_redaction ENABLE ALWAYS TRIGGER redaction_whole;
ALTER TABLE ledger_redaction ENABLE ALWAYS TRIGGER redaction_unchanged;
ALTER TABLE ledger_redactionrequest ENABLE ALWAYS TRIGGER redactionrequest_unchanged;
"""
BACKWARD = """
DROP TRIGGER redactionrequest_unchanged ON ledger_redactionrequest;
DROP TRIGGER redaction_unchanged ON ledger_redaction;
DROP TRIGGER redaction_whole ON ledger_redaction;
DROP TRIGGER redaction_agreed ON ledger_redaction;
DROP TRIGGER leafpayload_kept ON ledger_leafpayload;
DROP TRIGGER leafsalt_kept ON ledger_leafsalt;
DROP TRIGGER leafpayload_unchanged ON ledger_leafpayload;
DROP TRIGGER leafsalt_unchanged ON ledger_leafsalt;
CREATE TRIGGER leafsalt_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_leafsalt
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER leafpayload_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_leafpayload
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_leafsalt ENABLE ALWAYS TRIGGER leafsalt_unchanged;
ALTER TABLE ledger_leafpayload ENABLE ALWAYS TRIGGER leafpayload_unchanged;
DROP FUNCTION ledger_redaction_is_whole();
DROP FUNCTION ledger_redaction_is_agreed();
DROP FUNCTION ledger_refuse_unredacted();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0018_redactions")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
