"""Lets the trigger that balances see to it that entries and accounts exist, and drops the foreign keys of lines.

A foreign key is checked a row at a time and locks the row that it finds, which for a few accounts is the same row for
everybody who writes. Neither entries nor accounts are ever deleted, so that a look when the line is written is enough; and
unlike a foreign key the trigger also looks in replica mode.
"""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
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
    dependencies = [("ledger", "0008_entry_written")]
    operations = [
        # A step back leaves this trigger, which is the stricter one, until the step before it puts the older one back.
        migrations.RunSQL(FORWARD, migrations.RunSQL.noop),
        migrations.AlterField(
            "posting",
            "entry",
            models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="postings",
                to="ledger.entry",
            ),
        ),
        migrations.AlterField(
            "posting",
            "account",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="postings",
                to="ledger.account",
            ),
        ),
    ]
