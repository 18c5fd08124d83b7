"""Lets nobody change or take away what was recorded of an act, whoever connects."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER auditevent_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_auditevent ENABLE ALWAYS TRIGGER auditevent_unchanged
"""
BACKWARD = "DROP TRIGGER auditevent_unchanged ON ledger_auditevent"


class Migration(migrations.Migration):
    dependencies = [("ledger", "0031_audit_events")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
