"""Lets nobody lift the stop that they threw, whatever the code says."""

from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("payments", "0022_void_anchors_are_repeated")]
    operations = [
        migrations.AddConstraint(
            "stop",
            models.CheckConstraint(
                condition=Q(lifted_by=None) | ~Q(lifted_by=F("thrown_by")), name="stop_lifted_by_another"
            ),
        ),
    ]
