"""Lets quotes carry a MAC; one from before has none, and so counts for nothing."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0053_policy_profiles")]
    operations = [
        migrations.AddField("quote", "key_id", models.CharField(max_length=8, default=""), preserve_default=False),
        migrations.AddField("quote", "mac", models.BinaryField(max_length=32, default=b""), preserve_default=False),
    ]
