"""Triggers that hold whoever connects: no list is approved without its tier's approvals, no two steps are one person's.

They keep an officer's mistake and a service's bug from the database; who may switch them off still meets the MACs.
"""

from django.db import migrations

# ENABLE ALWAYS: they fire in replica mode too, which an ordinary trigger does not.
# search_path is fixed, with pg_temp last, as in the ledger's 0002.
FORWARD = """
CREATE FUNCTION payments_list_is_agreed() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE lacking text; given bigint;
BEGIN
    SELECT count(DISTINCT a.user_id) INTO given FROM payments_approval a
    WHERE a.disbursement_id = NEW.id AND a.step = 'approve' AND a.manifest_hash = NEW.manifest_hash
        AND a.user_id <> NEW.made_by_id;
    SELECT n.key INTO lacking FROM jsonb_each_text(NEW.approval_tier -> 'needs') n
    WHERE n.value::bigint > (
        SELECT count(DISTINCT a.user_id) FROM payments_approval a
        WHERE a.disbursement_id = NEW.id AND a.step = 'approve' AND a.manifest_hash = NEW.manifest_hash
            AND a.user_id <> NEW.made_by_id AND a.group_name = n.key)
    LIMIT 1;
    IF lacking IS NOT NULL OR given < greatest(1, (
        SELECT sum(n.value::bigint) FROM jsonb_each_text(NEW.approval_tier -> 'needs') n))
    THEN
        RAISE EXCEPTION 'disbursement_approved_by_enough: list % has % of its approvals.', NEW.id, given
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status IN ('released', 'completed') AND (NOT EXISTS (
            SELECT FROM payments_approval a WHERE a.disbursement_id = NEW.id AND a.step = 'release'
            AND a.manifest_hash = NEW.manifest_hash AND a.user_id = NEW.released_by_id)
        OR EXISTS (
            SELECT FROM payments_approval a WHERE a.disbursement_id = NEW.id AND a.step <> 'release'
            AND a.manifest_hash = NEW.manifest_hash AND a.user_id = NEW.released_by_id))
    THEN
        RAISE EXCEPTION 'disbursement_released_by_another: list % was released by nobody, or by one of its others.', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER disbursement_agreed AFTER INSERT OR UPDATE OF status, made_by_id, approved_by_id, released_by_id,
    manifest_hash, approval_tier ON payments_disbursement FOR EACH ROW
    WHEN (NEW.status IN ('approved', 'released', 'completed')) EXECUTE FUNCTION payments_list_is_agreed();
ALTER TABLE payments_disbursement ENABLE ALWAYS TRIGGER disbursement_agreed;

CREATE FUNCTION payments_approval_by_another() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.step <> 'submit' AND EXISTS (
            SELECT FROM payments_disbursement d WHERE d.id = NEW.disbursement_id AND d.made_by_id = NEW.user_id)
        OR EXISTS (
            SELECT FROM payments_approval a WHERE a.disbursement_id = NEW.disbursement_id
            AND a.user_id = NEW.user_id AND a.step <> NEW.step)
    THEN
        RAISE EXCEPTION 'approval_by_another: user % has another part in list % already.', NEW.user_id, NEW.disbursement_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approval_by_another BEFORE INSERT ON payments_approval
    FOR EACH ROW EXECUTE FUNCTION payments_approval_by_another();
ALTER TABLE payments_approval ENABLE ALWAYS TRIGGER approval_by_another;

CREATE FUNCTION payments_keep_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'What somebody said of a list is never changed: % of approval %', TG_OP, OLD.id
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER approval_unchanged BEFORE UPDATE OR DELETE ON payments_approval
    FOR EACH ROW EXECUTE FUNCTION payments_keep_approval();
ALTER TABLE payments_approval ENABLE ALWAYS TRIGGER approval_unchanged;
"""
BACKWARD = """
DROP TRIGGER approval_unchanged ON payments_approval;
DROP FUNCTION payments_keep_approval();
DROP TRIGGER approval_by_another ON payments_approval;
DROP FUNCTION payments_approval_by_another();
DROP TRIGGER disbursement_agreed ON payments_disbursement;
DROP FUNCTION payments_list_is_agreed();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0032_what_was_said_before")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
