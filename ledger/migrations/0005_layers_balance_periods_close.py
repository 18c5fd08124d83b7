"""Triggers that hold whoever connects: each layer balances, undoing is whole, and nothing is dated before a seal."""

from django.db import migrations

FORWARD = """
-- The number of the advisory lock under which entries are written, shared, and periods change, alone. A row that all
-- writers had to lock would be written by all of them.
CREATE FUNCTION ledger_lock() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN x'626F6F6B73'::bigint;

CREATE OR REPLACE FUNCTION ledger_postings_balance() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE wrong record;
BEGIN
    SELECT n.entry_id, a.currency, n.layer, sum(n.amount) AS total INTO wrong
    FROM added n JOIN ledger_account a ON a.id = n.account_id
    GROUP BY n.entry_id, a.currency, a.scale, n.layer HAVING sum(n.amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Entry % does not balance: its % % lines sum to %.', wrong.entry_id, wrong.layer,
            wrong.currency, wrong.total USING ERRCODE = 'check_violation';
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

-- What was held, pending or encumbered, is cleared to the last unit by the one entry that undoes it. Where nothing was
-- held, that entry is the whole mirror; where something was, its settled lines say what it came to.
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

CREATE FUNCTION ledger_lock_shared() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    -- The check below must see what was sealed while this waited; an older snapshot would not.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'Entries are written in READ COMMITTED.' USING ERRCODE = 'feature_not_supported';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(ledger_lock());
    RETURN NULL;
END $$;

-- Before sealed_until nothing may be dated; before open_from only what a person corrects.
CREATE FUNCTION ledger_marks(OUT sealed_until timestamptz, OUT open_from timestamptz) LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    SELECT coalesce(max(p.ends_at) FILTER (WHERE c.status = 'sealed'), '-infinity'),
        coalesce(max(p.ends_at) FILTER (WHERE c.status <> 'open'), '-infinity') INTO sealed_until, open_from
    FROM ledger_period p JOIN (
        SELECT DISTINCT ON (period_id) period_id, status FROM ledger_periodchange ORDER BY period_id, id DESC
    ) c ON c.period_id = p.id;
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
    -- Balances as they were known at a time rest on this.
    SELECT n.id INTO wrong FROM added n
    WHERE n.recorded_at NOT BETWEEN transaction_timestamp() AND clock_timestamp()
        OR n.insert_xid <> pg_current_xact_id() LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Entry % does not say when it was written.', wrong.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_period_follows() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(ledger_lock());
    IF EXISTS (SELECT FROM ledger_period WHERE ends_at >= NEW.ends_at) THEN
        RAISE EXCEPTION 'Period % does not end after all others.', NEW.name USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION ledger_period_moves() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE period record; last record;
BEGIN
    PERFORM pg_advisory_xact_lock(ledger_lock());
    NEW.recorded_at := clock_timestamp();
    SELECT * INTO period FROM ledger_period WHERE id = NEW.period_id;
    SELECT coalesce(max(status), 'open') AS status, max(actor) AS actor, max(through_entry_id) AS through_entry_id
    INTO last FROM (SELECT * FROM ledger_periodchange WHERE period_id = NEW.period_id ORDER BY id DESC LIMIT 1) c;
    IF (last.status, NEW.status) NOT IN (('open', 'closing'), ('closing', 'open'), ('closing', 'sealed')) THEN
        RAISE EXCEPTION 'Period % is %; it cannot become %.', period.name, last.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status <> 'open' AND (period.ends_at > clock_timestamp() OR EXISTS (
        SELECT FROM ledger_period p WHERE p.ends_at < period.ends_at
        AND NOT EXISTS (SELECT FROM ledger_periodchange c WHERE c.period_id = p.id AND c.status = 'sealed')
    )) THEN
        RAISE EXCEPTION 'Period % is not over, or the one before it is not sealed.', period.name
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status <> 'sealed' THEN
        SELECT coalesce(max(id), 0) INTO NEW.through_entry_id FROM ledger_entry;
        RETURN NEW;
    END IF;
    NEW.through_entry_id := last.through_entry_id;
    IF NEW.actor = last.actor OR EXISTS (
        SELECT FROM ledger_entry WHERE id > last.through_entry_id AND effective_at < period.ends_at
    ) THEN
        RAISE EXCEPTION 'Period % is sealed by a second person, as it was when it was closed.', period.name
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE CONSTRAINT TRIGGER entry_undoes AFTER INSERT ON ledger_entry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.reversal_of_id IS NOT NULL) EXECUTE FUNCTION ledger_entry_undoes();
CREATE TRIGGER entry_lock BEFORE INSERT ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_lock_shared();
CREATE TRIGGER entry_in_time AFTER INSERT ON ledger_entry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_entries_in_time();
CREATE TRIGGER period_follows BEFORE INSERT ON ledger_period
    FOR EACH ROW EXECUTE FUNCTION ledger_period_follows();
CREATE TRIGGER period_moves BEFORE INSERT ON ledger_periodchange
    FOR EACH ROW EXECUTE FUNCTION ledger_period_moves();
CREATE TRIGGER period_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_period
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER period_change_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_periodchange
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER entry_undoes;
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER entry_lock;
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER entry_in_time;
ALTER TABLE ledger_period ENABLE ALWAYS TRIGGER period_follows;
ALTER TABLE ledger_periodchange ENABLE ALWAYS TRIGGER period_moves;
ALTER TABLE ledger_period ENABLE ALWAYS TRIGGER period_unchanged;
ALTER TABLE ledger_periodchange ENABLE ALWAYS TRIGGER period_change_unchanged;
"""
BACKWARD = """
DROP TRIGGER period_change_unchanged ON ledger_periodchange;
DROP TRIGGER period_unchanged ON ledger_period;
DROP TRIGGER period_moves ON ledger_periodchange;
DROP TRIGGER period_follows ON ledger_period;
DROP TRIGGER entry_in_time ON ledger_entry;
DROP TRIGGER entry_lock ON ledger_entry;
DROP TRIGGER entry_undoes ON ledger_entry;
DROP FUNCTION ledger_period_moves();
DROP FUNCTION ledger_period_follows();
DROP FUNCTION ledger_entries_in_time();
DROP FUNCTION ledger_marks();
DROP FUNCTION ledger_lock_shared();
DROP FUNCTION ledger_entry_undoes();
DROP FUNCTION ledger_lock();
CREATE OR REPLACE FUNCTION ledger_postings_balance() RETURNS trigger LANGUAGE plpgsql
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
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_balances_by_layer")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
