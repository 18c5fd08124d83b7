"""Lets nobody change or take away a quote, whoever connects."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER quote_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON payments_quote
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE payments_quote ENABLE ALWAYS TRIGGER quote_unchanged
"""
BACKWARD = "DROP TRIGGER quote_unchanged ON payments_quote"


class Migration(migrations.Migration):
    dependencies = [("payments", "0046_quotes"), ("ledger", "0002_books_never_change")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
