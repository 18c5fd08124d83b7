"""Adds layers to lines, the five elements to accounts, original times to entries, and periods."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0002_books_never_change'),
    ]

    operations = [
        migrations.CreateModel(
            name='Period',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=30, unique=True)),
                ('ends_at', models.DateTimeField(unique=True)),
                ('opened_by', models.CharField(max_length=150)),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'permissions': [('close_period', 'Can open, close and seal periods')],
            },
        ),
        migrations.CreateModel(
            name='PeriodChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('status', models.CharField(choices=[('open', 'Open'), ('closing', 'Closing'), ('sealed', 'Sealed')], max_length=10)),
                ('actor', models.CharField(max_length=150)),
                ('note', models.CharField(blank=True, max_length=300)),
                ('through_entry_id', models.BigIntegerField(db_default=0, editable=False)),
                ('digest', models.BinaryField(max_length=32, null=True)),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AddField(
            model_name='account',
            name='entity',
            field=models.CharField(blank=True, db_default='', max_length=30),
        ),
        migrations.AddField(
            model_name='account',
            name='function',
            field=models.CharField(blank=True, db_default='', max_length=30),
        ),
        migrations.AddField(
            model_name='account',
            name='fund',
            field=models.CharField(blank=True, db_default='', max_length=30),
        ),
        migrations.AddField(
            model_name='account',
            name='object',
            field=models.CharField(blank=True, db_default='', max_length=30),
        ),
        migrations.AddField(
            model_name='account',
            name='project',
            field=models.CharField(blank=True, db_default='', max_length=30),
        ),
        migrations.AddField(
            model_name='entry',
            name='original_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='posting',
            name='layer',
            field=models.CharField(choices=[('settled', 'Settled'), ('pending', 'Pending'), ('encumbered', 'Encumbered')], db_default='settled', max_length=10),
        ),
        migrations.AddConstraint(
            model_name='account',
            constraint=models.CheckConstraint(condition=models.Q(('entity__regex', '^([A-Z0-9][A-Z0-9.-]{0,29})?$'), ('function__regex', '^([A-Z0-9][A-Z0-9.-]{0,29})?$'), ('object__regex', '^([A-Z0-9][A-Z0-9.-]{0,29})?$'), ('fund__regex', '^([A-Z0-9][A-Z0-9.-]{0,29})?$'), ('project__regex', '^([A-Z0-9][A-Z0-9.-]{0,29})?$')), name='account_element_grammar'),
        ),
        migrations.AddConstraint(
            model_name='entry',
            constraint=models.CheckConstraint(condition=models.Q(('actor', ''), _negated=True), name='entry_names_its_actor'),
        ),
        migrations.AddConstraint(
            model_name='entry',
            constraint=models.CheckConstraint(condition=models.Q(('approver', models.F('actor')), _negated=True), name='entry_approver_is_another'),
        ),
        migrations.AddConstraint(
            model_name='entry',
            constraint=models.CheckConstraint(condition=models.Q(('original_at', None), ('original_at__lt', models.F('effective_at')), _connector='OR'), name='entry_original_is_earlier'),
        ),
        migrations.AddConstraint(
            model_name='entry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('block_hash', ''), ('block_height', None)), models.Q(('block_hash__regex', '^[0-9a-f]{64}$'), ('block_height__isnull', False)), _connector='OR'), name='entry_block_is_whole'),
        ),
        migrations.AddConstraint(
            model_name='posting',
            constraint=models.CheckConstraint(condition=models.Q(('layer__in', ['settled', 'pending', 'encumbered'])), name='posting_layer_is_known'),
        ),
        migrations.AddConstraint(
            model_name='period',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '^[A-Za-z0-9][A-Za-z0-9 ._-]{0,29}$')), name='period_name_grammar'),
        ),
        migrations.AddConstraint(
            model_name='period',
            constraint=models.CheckConstraint(condition=models.Q(('opened_by', ''), _negated=True), name='period_names_its_opener'),
        ),
        migrations.AddField(
            model_name='periodchange',
            name='period',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='changes', to='ledger.period'),
        ),
        migrations.AddConstraint(
            model_name='periodchange',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['open', 'closing', 'sealed'])), name='period_change_is_known'),
        ),
        migrations.AddConstraint(
            model_name='periodchange',
            constraint=models.CheckConstraint(condition=models.Q(('actor', ''), _negated=True), name='period_change_names_its_actor'),
        ),
        migrations.AddConstraint(
            model_name='periodchange',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('digest__isnull', False), ('status', 'sealed')), models.Q(models.Q(('status', 'sealed'), _negated=True), ('digest', None)), _connector='OR'), name='period_change_digest_is_of_a_seal'),
        ),
        migrations.AddConstraint(
            model_name='periodchange',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'sealed')), fields=('period',), name='period_is_sealed_once'),
        ),
    ]
