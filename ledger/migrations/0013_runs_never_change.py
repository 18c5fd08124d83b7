"""Counts the breaks of the runs that there are, and lets nobody change a run or a break any more."""

from django.db import migrations

TABLES = ("reconciliationrun", "break")
COUNT = """
UPDATE ledger_reconciliationrun SET break_count = (
    SELECT coalesce(sum(value::int), 0) FROM jsonb_each_text(counts)
    WHERE key IN ('amount', 'payee', 'missing', 'extra', 'unbooked', 'ledger_only', 'unknown_in', 'unknown_out', 'fee', 'balance')
)
"""
FORWARD = COUNT + "".join(
    f"""
;CREATE TRIGGER {table}_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_{table}
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_{table} ENABLE ALWAYS TRIGGER {table}_unchanged
"""
    for table in TABLES
)
BACKWARD = ";".join(f"DROP TRIGGER {table}_unchanged ON ledger_{table}" for table in TABLES)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0012_reconciliation_stands")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
