"""Drops the index by which keys could be searched by their beginning: nobody does, and every entry paid for it."""

from django.db import migrations

FORWARD = "DROP INDEX CONCURRENTLY IF EXISTS ledger_entry_idempotency_key_d7fe082d_like"
BACKWARD = """
CREATE INDEX CONCURRENTLY ledger_entry_idempotency_key_d7fe082d_like
ON ledger_entry (idempotency_key varchar_pattern_ops)
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ledger", "0010_entries_come_whole")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
