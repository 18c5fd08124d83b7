"""Lets readings remember when their bytes were seen first, whatever came between."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0054_quotes_are_signed'),
    ]

    operations = [
        migrations.AddField(
            model_name='pricereading',
            name='seen_at',
            field=models.DateTimeField(null=True),
        ),
    ]
