"""Room in an entry's source for a whole outpoint, which reconciliation compares with the chain."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_books_never_change")]
    operations = [
        migrations.AlterField(
            model_name="entry",
            name="source_ref",
            field=models.CharField(blank=True, max_length=100),
        ),
    ]
