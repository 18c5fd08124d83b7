"""Refuses roles that exclude each other in one program, whatever the code says, and keeps every role that ends."""

from django.db import migrations

# As INCOMPATIBLE of payments/models/roles.py says. The user's row is locked first, so that of two grants at once
# the second sees what the first gave. ENABLE ALWAYS: they fire in replica mode too, which an ordinary trigger does not.
# search_path is fixed, with pg_temp last, as in the ledger's 0002.
FORWARD = """
CREATE FUNCTION payments_refuse_incompatible_roles() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    held text;
BEGIN
    PERFORM 1 FROM auth_user WHERE id = NEW.user_id FOR NO KEY UPDATE;
    SELECT role INTO held FROM payments_membership
    WHERE program_id = NEW.program_id AND user_id = NEW.user_id AND id <> NEW.id AND role <> NEW.role
        AND NOT (role IN ('treasurer', 'signer') AND NEW.role IN ('treasurer', 'signer'))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Nobody is % and % of one program.', held, NEW.role
            USING ERRCODE = 'check_violation', CONSTRAINT = 'membership_compatible_roles';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER membership_compatible_roles BEFORE INSERT OR UPDATE OF program_id, user_id, role
    ON payments_membership FOR EACH ROW EXECUTE FUNCTION payments_refuse_incompatible_roles();
ALTER TABLE payments_membership ENABLE ALWAYS TRIGGER membership_compatible_roles;

CREATE FUNCTION payments_keep_past_membership() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO payments_pastmembership
        (program_id, user_id, role, granted_by_id, granted_at, ended_by_id, ended_at)
    VALUES (OLD.program_id, OLD.user_id, OLD.role, OLD.granted_by_id, OLD.created_at,
        nullif(current_setting('govpay.acting_user', true), '')::bigint, now());
    RETURN NULL;
END $$;
CREATE TRIGGER membership_ended AFTER DELETE ON payments_membership
    FOR EACH ROW EXECUTE FUNCTION payments_keep_past_membership();
ALTER TABLE payments_membership ENABLE ALWAYS TRIGGER membership_ended;
"""
BACKWARD = """
DROP TRIGGER membership_ended ON payments_membership;
DROP TRIGGER membership_compatible_roles ON payments_membership;
DROP FUNCTION payments_keep_past_membership();
DROP FUNCTION payments_refuse_incompatible_roles();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0029_proposals")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
