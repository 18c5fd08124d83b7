"""Lets nobody change what plans, classings and proofs of the reserve say; steps that follow are written once."""

from django.db import migrations

# The arguments are the columns of later steps: empty until they are taken, and fixed then.
FUNCTION = """
CREATE FUNCTION payments_said_once() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE was jsonb := to_jsonb(OLD); step text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'said_once: row % of % stays.', OLD.id, TG_TABLE_NAME USING ERRCODE = 'check_violation';
    END IF;
    IF was - TG_ARGV IS DISTINCT FROM to_jsonb(NEW) - TG_ARGV THEN
        RAISE EXCEPTION 'said_once: what row % of % says stays.', OLD.id, TG_TABLE_NAME
            USING ERRCODE = 'check_violation';
    END IF;
    FOREACH step IN ARRAY TG_ARGV LOOP
        IF was -> step NOT IN ('null'::jsonb, '""'::jsonb, 'true'::jsonb)
            AND was -> step IS DISTINCT FROM to_jsonb(NEW) -> step
        THEN
            RAISE EXCEPTION 'said_once: % of row % of % was said before.', step, OLD.id, TG_TABLE_NAME
                USING ERRCODE = 'check_violation';
        END IF;
    END LOOP;
    RETURN NEW;
END $$
"""
STEPS = {
    "purchaseplan": ("approved_by_id", "approved_at", "ended_by_id", "ended_at"),
    "inflowclassing": ("confirmed_by_id", "confirmed_at", "withdrawn_by_id", "withdrawn_at"),
    "classedinflow": ("is_open",),
    "reserveproof": ("signed_tx", "answered_by_id", "proved_at", "proved_height", "proved_hash"),
}
FORWARD = [
    f"""
CREATE TRIGGER {table}_said_once BEFORE UPDATE OR DELETE ON payments_{table} FOR EACH ROW
    EXECUTE FUNCTION payments_said_once({", ".join(f"'{step}'" for step in steps)});
ALTER TABLE payments_{table} ENABLE ALWAYS TRIGGER {table}_said_once
"""
    for table, steps in STEPS.items()
]
BACKWARD = [f"DROP TRIGGER {table}_said_once ON payments_{table}" for table in STEPS]


class Migration(migrations.Migration):
    dependencies = [("payments", "0067_reserve_acts")]
    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION payments_said_once()"),
        *(
            migrations.RunSQL(forward, backward)
            for forward, backward in zip(FORWARD, BACKWARD, strict=True)
        ),
    ]
