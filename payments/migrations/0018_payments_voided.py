"""Finds the payments that are void, without a look at all others."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Built beside the work that goes on."""

    atomic = False

    dependencies = [("payments", "0017_alarm_messages")]

    operations = [
        AddIndexConcurrently(
            "payment",
            models.Index(
                condition=models.Q(("status", "voided")), fields=["payout"], name="payment_voided"
            ),
        ),
    ]
