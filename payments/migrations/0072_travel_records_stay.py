"""Lets nobody change or take away what the travel rule keeps, but to encrypt it anew, or to destroy it when its time is over."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION payments_keep_travel_record() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'travel_record_stays: record % stays.', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF to_jsonb(OLD) - '{payload,forgotten_at}'::text[] IS DISTINCT FROM to_jsonb(NEW) - '{payload,forgotten_at}'::text[] THEN
        RAISE EXCEPTION 'travel_record_stays: what record % says stays.', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.payload IS NULL AND NEW.payload IS NOT NULL
        OR NEW.forgotten_at IS DISTINCT FROM OLD.forgotten_at
            AND (OLD.forgotten_at IS NOT NULL OR NEW.forgotten_at < OLD.keep_until)
    THEN
        RAISE EXCEPTION 'travel_record_stays: the payload of record % is kept until %.', OLD.id, OLD.keep_until
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER travel_record_stays BEFORE UPDATE OR DELETE ON payments_travelrecord FOR EACH ROW
    EXECUTE FUNCTION payments_keep_travel_record();
ALTER TABLE payments_travelrecord ENABLE ALWAYS TRIGGER travel_record_stays
"""
BACKWARD = "DROP TRIGGER travel_record_stays ON payments_travelrecord; DROP FUNCTION payments_keep_travel_record()"


class Migration(migrations.Migration):
    dependencies = [("payments", "0071_travel_rule")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
