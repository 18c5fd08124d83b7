"""Keeps what a message about an alarm says and since when it waits, and when the node was last of use."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0016_voids_of_payouts'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='alarmdelivery',
            name='lease_until',
        ),
        migrations.AddField(
            model_name='alarmdelivery',
            name='body',
            field=models.TextField(default=''),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='alarmdelivery',
            name='made_at',
            field=models.DateTimeField(default=django.utils.timezone.now),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='nodestatus',
            name='ok_at',
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.AlterField(
            model_name='alarmdelivery',
            name='event',
            field=models.CharField(choices=[('opened', 'Opened'), ('taken', 'Taken'), ('closed', 'Closed')], max_length=20),
        ),
    ]
