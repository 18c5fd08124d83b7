"""Has the checks of a statement look up each entry that it writes, whatever the planner believes of the books' size.

Where nobody had counted the rows yet, or long ago, it took the books for small and read all of their index for each
statement, so that posting slowed down in step with the books. A subquery with OFFSET or LIMIT is asked row by row.
"""

from django.db import migrations

BALANCE = """
CREATE OR REPLACE FUNCTION ledger_postings_balance() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE wrong record;
BEGIN
    SELECT n.entry_id, n.layer, a.currency, sum(n.amount) AS total INTO wrong
    FROM added n LEFT JOIN ledger_account a ON a.id = n.account_id
    GROUP BY n.entry_id, a.currency, a.scale, n.layer HAVING sum(n.amount) <> 0 OR a.currency IS NULL LIMIT 1;
    IF wrong.entry_id IS NOT NULL AND wrong.currency IS NULL THEN
        RAISE EXCEPTION 'Entry % has a line on an account that does not exist.', wrong.entry_id
            USING ERRCODE = 'foreign_key_violation';
    ELSIF wrong.entry_id IS NOT NULL THEN
        RAISE EXCEPTION 'Entry % does not balance: its % % lines sum to %.', wrong.entry_id, wrong.layer,
            wrong.currency, wrong.total USING ERRCODE = 'check_violation';
    END IF;
    -- More lines than this statement added, or an entry of another database transaction (whose lines this one may
    -- not see yet), mean that an entry is being added to.
    SELECT n.entry_id INTO wrong FROM (SELECT entry_id, count(*) AS lines FROM added GROUP BY entry_id) n
    {join} e ON {on}
    WHERE e.insert_xid IS DISTINCT FROM pg_current_xact_id()
        OR n.lines <> (SELECT count(*) FROM ledger_posting p WHERE p.entry_id = n.entry_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Entry % has its lines already, or was written elsewhere; correct it by a reversal.',
            wrong.entry_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
"""
WHOLE = """
CREATE OR REPLACE FUNCTION ledger_entries_whole() RETURNS trigger LANGUAGE plpgsql
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
    SELECT n.id INTO wrong FROM added n WHERE {lineless} LIMIT 1;
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
"""
FORWARD = BALANCE.format(
    join="LEFT JOIN LATERAL (SELECT insert_xid FROM ledger_entry WHERE id = n.entry_id OFFSET 0)", on="true"
) + WHOLE.format(lineless="(SELECT p.id FROM ledger_posting p WHERE p.entry_id = n.id LIMIT 1) IS NULL")
BACKWARD = BALANCE.format(join="LEFT JOIN ledger_entry", on="e.id = n.entry_id") + WHOLE.format(
    lineless="NOT EXISTS (SELECT FROM ledger_posting p WHERE p.entry_id = n.id)"
)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0029_packs_by_their_name")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
