"""An entry and its lines come in one statement, so that one look a statement sees that they are whole.

Before, whether an entry has lines and undoes another one was asked at the commit, a row at a time, which cost more than
writing it.
"""

from django.db import migrations

FORWARD = """
DROP TRIGGER entry_has_lines ON ledger_entry;
DROP TRIGGER entry_undoes ON ledger_entry;
DROP TRIGGER entry_in_time ON ledger_entry;
DROP FUNCTION ledger_entry_has_lines();
DROP FUNCTION ledger_entry_undoes();
DROP FUNCTION ledger_entries_in_time();

CREATE FUNCTION ledger_entries_whole() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE wrong record;
BEGIN
    SELECT n.id, n.effective_at, m.sealed_until INTO wrong FROM added n, ledger_marks() m
    WHERE n.effective_at < m.sealed_until LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Entry % is dated % in a period that was sealed up to %.', wrong.id, wrong.effective_at,
            wrong.sealed_until USING ERRCODE = 'check_violation';
    END IF;
    -- Balances as they were known at a time rest on this.
    SELECT n.id INTO wrong FROM added n
    WHERE n.recorded_at NOT BETWEEN transaction_timestamp() AND clock_timestamp()
        OR n.insert_xid <> pg_current_xact_id() LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Entry % does not say when it was written.', wrong.id USING ERRCODE = 'check_violation';
    END IF;
    SELECT n.id INTO wrong FROM added n
    WHERE NOT EXISTS (SELECT FROM ledger_posting p WHERE p.entry_id = n.id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Entry % has no lines; they are written by the same statement.', wrong.id
            USING ERRCODE = 'check_violation';
    END IF;
    -- What was held, pending or encumbered, is cleared to the last unit by the one entry that undoes it. Where nothing
    -- was held, that entry is the whole mirror; where something was, its settled lines say what it came to.
    SELECT n.id, n.reversal_of_id INTO wrong FROM added n
    WHERE n.reversal_of_id IS NOT NULL AND EXISTS (
        SELECT FROM ledger_posting p WHERE p.entry_id IN (n.id, n.reversal_of_id) AND (p.layer <> 'settled' OR NOT EXISTS (
            SELECT FROM ledger_posting h WHERE h.entry_id = n.reversal_of_id AND h.layer <> 'settled'
        )) GROUP BY p.account_id, p.layer, p.reference HAVING sum(p.amount) <> 0
    ) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Entry % does not undo entry % to the last unit.', wrong.id, wrong.reversal_of_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER entry_whole AFTER INSERT ON ledger_entry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_entries_whole();
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER entry_whole;
"""
BACKWARD = """
DROP TRIGGER entry_whole ON ledger_entry;
DROP FUNCTION ledger_entries_whole();

CREATE FUNCTION ledger_entry_has_lines() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger_posting WHERE entry_id = NEW.id) THEN
        RAISE EXCEPTION 'Entry % has no lines.', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_entry_undoes() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE has_held boolean;
BEGIN
    SELECT EXISTS (SELECT FROM ledger_posting WHERE entry_id = NEW.reversal_of_id AND layer <> 'settled') INTO has_held;
    PERFORM FROM ledger_posting p WHERE p.entry_id IN (NEW.id, NEW.reversal_of_id)
        AND (p.layer <> 'settled' OR NOT has_held)
    GROUP BY p.account_id, p.layer, p.reference HAVING sum(p.amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Entry % does not undo entry % to the last unit.', NEW.id, NEW.reversal_of_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_entries_in_time() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE wrong record;
BEGIN
    SELECT n.id, n.effective_at, m.sealed_until INTO wrong FROM added n, ledger_marks() m
    WHERE n.effective_at < m.sealed_until LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Entry % is dated % in a period that was sealed up to %.', wrong.id, wrong.effective_at,
            wrong.sealed_until USING ERRCODE = 'check_violation';
    END IF;
    SELECT n.id INTO wrong FROM added n
    WHERE n.recorded_at NOT BETWEEN transaction_timestamp() AND clock_timestamp()
        OR n.insert_xid <> pg_current_xact_id() LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Entry % does not say when it was written.', wrong.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER entry_has_lines AFTER INSERT ON ledger_entry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ledger_entry_has_lines();
CREATE CONSTRAINT TRIGGER entry_undoes AFTER INSERT ON ledger_entry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.reversal_of_id IS NOT NULL) EXECUTE FUNCTION ledger_entry_undoes();
CREATE TRIGGER entry_in_time AFTER INSERT ON ledger_entry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_entries_in_time();
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER entry_has_lines;
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER entry_undoes;
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER entry_in_time;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0009_lines_checked_together")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
