"""Keeps challenges to whoever controls an address and what answered them, and lets a program demand it."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0041_grievances_move'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='program',
            name='destination_proof',
            field=models.PositiveSmallIntegerField(default=0, validators=[django.core.validators.MaxValueValidator(2)]),
        ),
        migrations.CreateModel(
            name='AddressProof',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('script_pubkey', models.BinaryField(max_length=34)),
                ('challenge', models.CharField(max_length=300)),
                ('asked_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('signature', models.TextField(blank=True)),
                ('form', models.CharField(blank=True, max_length=10)),
                ('proved_at', models.DateTimeField(null=True)),
                ('asked_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('beneficiary', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='address_proofs', to='payments.beneficiary')),
                ('program', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='payments.program')),
                ('recorded_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('proved_at__isnull', False)), fields=['beneficiary', 'program'], name='addressproof_proved')],
                'constraints': [models.UniqueConstraint(fields=('challenge',), name='addressproof_challenge_once'), models.CheckConstraint(condition=models.Q(models.Q(('form', ''), ('proved_at', None), ('recorded_by', None), ('signature', '')), models.Q(('form__in', ['bip322', 'legacy']), ('proved_at__isnull', False), ('recorded_by__isnull', False), models.Q(('signature', ''), _negated=True), ('proved_at__lt', models.F('expires_at'))), _connector='OR'), name='addressproof_whole')],
            },
        ),
    ]
