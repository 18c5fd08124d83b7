"""Lets nobody change what a bank file says, or what a bank has said of it, whoever connects."""

from django.db import migrations

# An account is encrypted anew when keys rotate, which says the same; all else of a line is what was decided on, and its
# outcome comes once. search_path is fixed, with pg_temp last; ENABLE ALWAYS fires in replica mode too, as in the books.
FORWARD = """
CREATE FUNCTION payments_keep_bank_line() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (to_jsonb(NEW) - '{account,outcome,reason,report_id}'::text[])
            IS DISTINCT FROM (to_jsonb(OLD) - '{account,outcome,reason,report_id}'::text[])
        OR (OLD.outcome <> 'open' AND (NEW.outcome, NEW.reason, NEW.report_id)
            IS DISTINCT FROM (OLD.outcome, OLD.reason, OLD.report_id)) THEN
        RAISE EXCEPTION 'Line % of a bank file is what was decided and what the bank has said of it.', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'bankfileline_stays';
    END IF;
    IF NEW.outcome <> 'open' AND NOT EXISTS (
        SELECT FROM payments_bankreport r WHERE r.id = NEW.report_id AND r.bank_file_id = NEW.bank_file_id) THEN
        RAISE EXCEPTION 'A report on another file does not answer line % of a bank file.', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'bankfileline_answered_by_its_own';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER bankfileline_stays BEFORE UPDATE OR DELETE ON payments_bankfileline
    FOR EACH ROW EXECUTE FUNCTION payments_keep_bank_line();
ALTER TABLE payments_bankfileline ENABLE ALWAYS TRIGGER bankfileline_stays;

CREATE FUNCTION payments_keep_bank_file() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    moving text[] := '{status,size_bytes,sha256,written_at,fetched_by_id,fetched_at,problem}';
BEGIN
    IF TG_OP = 'DELETE' OR (to_jsonb(NEW) - moving) IS DISTINCT FROM (to_jsonb(OLD) - moving)
        OR (OLD.sha256 IS NOT NULL AND NEW.sha256 IS DISTINCT FROM OLD.sha256)
        OR (OLD.fetched_at IS NOT NULL AND NEW.fetched_at IS DISTINCT FROM OLD.fetched_at) THEN
        RAISE EXCEPTION 'Bank file % stays what was decided.', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'bankfile_stays';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER bankfile_stays BEFORE UPDATE OR DELETE ON payments_bankfile
    FOR EACH ROW EXECUTE FUNCTION payments_keep_bank_file();
ALTER TABLE payments_bankfile ENABLE ALWAYS TRIGGER bankfile_stays;

-- Before it is written there may be no more than it announces: whoever writes it compares.
CREATE FUNCTION payments_refuse_later_bank_line() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM added a JOIN payments_bankfile f ON f.id = a.bank_file_id WHERE f.status <> 'waiting') THEN
        RAISE EXCEPTION 'Lines come with their bank file, and none once it is written.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'bankfileline_comes_with_its_file';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER bankfileline_comes_with_its_file AFTER INSERT ON payments_bankfileline
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION payments_refuse_later_bank_line();
ALTER TABLE payments_bankfileline ENABLE ALWAYS TRIGGER bankfileline_comes_with_its_file;

CREATE TRIGGER bankreport_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON payments_bankreport
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE payments_bankreport ENABLE ALWAYS TRIGGER bankreport_unchanged;
"""
BACKWARD = """
DROP TRIGGER bankreport_unchanged ON payments_bankreport;
DROP TRIGGER bankfileline_comes_with_its_file ON payments_bankfileline;
DROP TRIGGER bankfile_stays ON payments_bankfile;
DROP TRIGGER bankfileline_stays ON payments_bankfileline;
DROP FUNCTION payments_refuse_later_bank_line();
DROP FUNCTION payments_keep_bank_file();
DROP FUNCTION payments_keep_bank_line();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0057_bank_files"), ("ledger", "0002_books_never_change")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
