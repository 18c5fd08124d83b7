"""Finds who is or was paid at an address, beside the work that goes on."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("payments", "0036_holds_filled")]

    operations = [
        AddIndexConcurrently("destination", models.Index(fields=["script_pubkey"], name="destination_script")),
    ]
