"""Says why each held line is held, and lets two people change where somebody is paid."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0034_budgets'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='DestinationChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('script_pubkey', models.BinaryField(max_length=34)),
                ('note', models.CharField(max_length=300)),
                ('outcome', models.CharField(choices=[('open', 'Waits for a second person'), ('confirmed', 'Confirmed'), ('refused', 'Refused'), ('withdrawn', 'Withdrawn')], default='open', max_length=10)),
                ('proposed_at', models.DateTimeField(auto_now_add=True)),
                ('decided_at', models.DateTimeField(null=True)),
                ('decision_note', models.CharField(blank=True, max_length=300)),
            ],
        ),
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('rule', models.CharField(max_length=40)),
                ('subject_id', models.BigIntegerField(default=0)),
                ('note', models.TextField()),
                ('placed_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField(
            model_name='destination',
            name='changed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='program',
            name='destination_cooling_s',
            field=models.PositiveIntegerField(default=259200, validators=[django.core.validators.MaxValueValidator(31536000)]),
        ),
        migrations.AddField(
            model_name='destinationchange',
            name='beneficiary',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='destination_changes', to='payments.beneficiary'),
        ),
        migrations.AddField(
            model_name='destinationchange',
            name='decided_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='destinationchange',
            name='destination',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='change', to='payments.destination'),
        ),
        migrations.AddField(
            model_name='destinationchange',
            name='program',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='payments.program'),
        ),
        migrations.AddField(
            model_name='destinationchange',
            name='proposed_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='hold',
            name='ended_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='hold',
            name='payment',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='payments.payment'),
        ),
        migrations.AddField(
            model_name='hold',
            name='placed_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='destinationchange',
            constraint=models.UniqueConstraint(condition=models.Q(('outcome', 'open')), fields=('beneficiary',), name='destinationchange_one_open'),
        ),
        migrations.AddConstraint(
            model_name='destinationchange',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('outcome', 'confirmed'), ('destination__isnull', False)), models.Q(models.Q(('outcome', 'confirmed'), _negated=True), ('destination', None)), _connector='OR'), name='destinationchange_confirmed_whole'),
        ),
        migrations.AddConstraint(
            model_name='destinationchange',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('decided_by', None), ('outcome', 'open')), models.Q(('decided_at__isnull', False), ('decided_by', models.F('proposed_by')), ('outcome', 'withdrawn')), models.Q(('decided_at__isnull', False), ('decided_by__isnull', False), ('outcome__in', ['confirmed', 'refused']), models.Q(('decided_by', models.F('proposed_by')), _negated=True)), _connector='OR'), name='destinationchange_two_people'),
        ),
        migrations.AddIndex(
            model_name='hold',
            index=models.Index(fields=['payment', 'id'], name='hold_of_payment'),
        ),
        migrations.AddIndex(
            model_name='hold',
            index=models.Index(condition=models.Q(('ended_at', None)), fields=['rule', 'id'], name='hold_open'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('payment', 'rule', 'subject_id'), name='hold_one_open'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(('ended_by', None), ('ended_at__isnull', False), _connector='OR'), name='hold_ended_whole'),
        ),
    ]
