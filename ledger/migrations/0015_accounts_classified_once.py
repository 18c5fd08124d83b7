"""Lets an account that nobody classified be classified, once, and refuses every other change as before.

Accounts of programs from before there were the five elements have none. No role of the stack but the owner may update.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION ledger_account_classified() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE was ledger_account; blank text[] := ARRAY['', '', '', '', ''];
BEGIN
    was := NEW;
    was.entity := OLD.entity; was.function := OLD.function; was.object := OLD.object;
    was.fund := OLD.fund; was.project := OLD.project;
    IF was IS DISTINCT FROM OLD OR ARRAY[OLD.entity, OLD.function, OLD.object, OLD.fund, OLD.project]::text[] <> blank
        OR ARRAY[NEW.entity, NEW.function, NEW.object, NEW.fund, NEW.project]::text[] = blank THEN
        RAISE EXCEPTION 'The books are never changed: % on % is refused.', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

DROP TRIGGER account_unchanged ON ledger_account;
CREATE TRIGGER account_unchanged BEFORE DELETE OR TRUNCATE ON ledger_account
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER account_classified BEFORE UPDATE ON ledger_account
    FOR EACH ROW EXECUTE FUNCTION ledger_account_classified();
ALTER TABLE ledger_account ENABLE ALWAYS TRIGGER account_unchanged;
ALTER TABLE ledger_account ENABLE ALWAYS TRIGGER account_classified;
"""
BACKWARD = """
DROP TRIGGER account_classified ON ledger_account;
DROP TRIGGER account_unchanged ON ledger_account;
DROP FUNCTION ledger_account_classified();
CREATE TRIGGER account_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_account
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_account ENABLE ALWAYS TRIGGER account_unchanged;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0014_runs_are_leaves")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
