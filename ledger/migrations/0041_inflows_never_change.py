"""Lets nobody change or take away what came to the reserve and what it came for, whoever connects."""

from django.db import migrations

TABLES = ("inflow", "inflowclass", "reservevaluation")
FORWARD = [
    f"""
CREATE TRIGGER {table}_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_{table}
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_{table} ENABLE ALWAYS TRIGGER {table}_unchanged
"""
    for table in TABLES
]
BACKWARD = [f"DROP TRIGGER {table}_unchanged ON ledger_{table}" for table in TABLES]


class Migration(migrations.Migration):
    dependencies = [("ledger", "0040_reserve_inflows")]
    operations = [
        migrations.RunSQL(forward, backward) for forward, backward in zip(FORWARD, BACKWARD, strict=True)
    ]
