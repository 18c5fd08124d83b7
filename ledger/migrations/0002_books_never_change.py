"""Triggers that hold whoever connects: entries balance, and nothing in the books is changed or taken away."""

from django.db import migrations

# ENABLE ALWAYS: they fire in replica mode too, which an ordinary trigger does not.
# search_path is fixed, with pg_temp last: a role that may only add could otherwise create a temporary ledger_account,
# and the check would read that. enable_seqscan is off because a plan made while the tables were empty is kept, and
# would scan all postings at every entry later.
FORWARD = """
CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The books are never changed: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION ledger_postings_balance() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE wrong record;
BEGIN
    SELECT n.entry_id, a.currency, sum(n.amount) AS total INTO wrong
    FROM added n JOIN ledger_account a ON a.id = n.account_id
    GROUP BY n.entry_id, a.currency, a.scale HAVING sum(n.amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Entry % does not balance: its % lines sum to %.', wrong.entry_id, wrong.currency, wrong.total
            USING ERRCODE = 'check_violation';
    END IF;
    -- More lines than this statement added, or an entry of another database transaction (whose lines this one may
    -- not see yet), mean that an entry is being added to.
    SELECT n.entry_id INTO wrong FROM (SELECT entry_id, count(*) AS lines FROM added GROUP BY entry_id) n
    LEFT JOIN ledger_entry e ON e.id = n.entry_id
    WHERE e.insert_xid IS DISTINCT FROM pg_current_xact_id()
        OR n.lines <> (SELECT count(*) FROM ledger_posting p WHERE p.entry_id = n.entry_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Entry % has its lines already, or was written elsewhere; correct it by a reversal.',
            wrong.entry_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_entry_has_lines() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger_posting WHERE entry_id = NEW.id) THEN
        RAISE EXCEPTION 'Entry % has no lines.', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER posting_balance AFTER INSERT ON ledger_posting REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_postings_balance();
CREATE TRIGGER posting_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_posting
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER entry_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER account_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_account
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE CONSTRAINT TRIGGER entry_has_lines AFTER INSERT ON ledger_entry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ledger_entry_has_lines();
ALTER TABLE ledger_posting ENABLE ALWAYS TRIGGER posting_balance;
ALTER TABLE ledger_posting ENABLE ALWAYS TRIGGER posting_unchanged;
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER entry_unchanged;
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER entry_has_lines;
ALTER TABLE ledger_account ENABLE ALWAYS TRIGGER account_unchanged;
"""
BACKWARD = """
DROP TRIGGER account_unchanged ON ledger_account;
DROP TRIGGER entry_has_lines ON ledger_entry;
DROP TRIGGER entry_unchanged ON ledger_entry;
DROP TRIGGER posting_unchanged ON ledger_posting;
DROP TRIGGER posting_balance ON ledger_posting;
DROP FUNCTION ledger_entry_has_lines();
DROP FUNCTION ledger_postings_balance();
DROP FUNCTION ledger_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
