"""Lets a run say how many of its breaks have no case yet."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0022_second_people_are_other_users")]
    operations = [
        migrations.AddField("reconciliationrun", "uncased_count", models.PositiveIntegerField(default=0))
    ]
