"""Lets elections and codes of whom is erased stay without the person; nothing else of an election ever changes."""

import django.db.models.deletion
from django.db import migrations, models

# ENABLE ALWAYS: they fire in replica mode too, which an ordinary trigger does not.
FORWARD = """
DROP TRIGGER election_unchanged ON payments_election;
CREATE FUNCTION payments_keep_election() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.choice, NEW.purse_id, NEW.made_by_id, NEW.code_id, NEW.made_at, NEW.key_id, NEW.mac)
        IS DISTINCT FROM (OLD.id, OLD.choice, OLD.purse_id, OLD.made_by_id, OLD.code_id, OLD.made_at, OLD.key_id, OLD.mac)
        OR NEW.enrollment_id IS NOT NULL OR NEW.note <> '' THEN
        RAISE EXCEPTION 'What somebody elected is never changed.'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'election_unchanged';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER election_kept BEFORE UPDATE ON payments_election
    FOR EACH ROW EXECUTE FUNCTION payments_keep_election();
ALTER TABLE payments_election ENABLE ALWAYS TRIGGER election_kept;
CREATE TRIGGER election_unchanged BEFORE DELETE OR TRUNCATE ON payments_election
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE payments_election ENABLE ALWAYS TRIGGER election_unchanged
"""
BACKWARD = """
DROP TRIGGER election_unchanged ON payments_election;
DROP TRIGGER election_kept ON payments_election;
DROP FUNCTION payments_keep_election();
CREATE TRIGGER election_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON payments_election
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE payments_election ENABLE ALWAYS TRIGGER election_unchanged
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0078_what_people_choose_instead"), ("ledger", "0002_books_never_change")]
    operations = [
        migrations.AlterField(
            model_name="election",
            name="enrollment",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="elections",
                to="payments.enrollment",
            ),
        ),
        migrations.AlterField(
            model_name="personcode",
            name="enrollment",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="codes",
                to="payments.enrollment",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
