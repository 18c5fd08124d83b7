"""Keeps what a verifier elsewhere has said of people."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0038_exclusion_lists_and_appeals'),
    ]

    operations = [
        migrations.CreateModel(
            name='Verification',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('standing', models.CharField(choices=[('unverified', 'Not verified yet'), ('confirmed', 'Confirmed'), ('refused', 'Not confirmed')], default='unverified', max_length=10)),
                ('due_at', models.DateTimeField()),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('answered_at', models.DateTimeField(null=True)),
                ('beneficiary', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='verification', to='payments.beneficiary')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('standing', 'confirmed'), _negated=True), fields=['due_at'], name='verification_due')],
                'constraints': [models.CheckConstraint(condition=models.Q(('standing', 'unverified'), ('answered_at__isnull', False), _connector='OR'), name='verification_answered')],
            },
        ),
    ]
