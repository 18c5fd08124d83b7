"""Lets nobody change or take away what was recorded of a lot, whoever connects."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER lotmovement_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_lotmovement
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_lotmovement ENABLE ALWAYS TRIGGER lotmovement_unchanged
"""
BACKWARD = "DROP TRIGGER lotmovement_unchanged ON ledger_lotmovement"


class Migration(migrations.Migration):
    dependencies = [("ledger", "0035_lot_movements")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
