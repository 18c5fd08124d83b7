"""Triggers that hold whoever connects: what was sealed is neither changed nor taken away."""

from django.db import migrations

TABLES = ("leaf", "leafpayload", "leafsalt", "subtree", "seal", "checkpoint", "cosignature")
FORWARD = "".join(
    f"""
CREATE TRIGGER {table}_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_{table}
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_{table} ENABLE ALWAYS TRIGGER {table}_unchanged;
"""
    for table in TABLES
)
BACKWARD = "".join(f"DROP TRIGGER {table}_unchanged ON ledger_{table};" for table in TABLES)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0006_seals")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
