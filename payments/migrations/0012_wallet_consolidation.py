"""When a wallet's small coins are looked at again, and why they were not merged."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0011_derived_blocks")]

    operations = [
        migrations.AddField("wallet", "consolidate_due_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "wallet", "consolidate_problem", models.CharField(blank=True, default="", max_length=300), preserve_default=False
        ),
    ]
