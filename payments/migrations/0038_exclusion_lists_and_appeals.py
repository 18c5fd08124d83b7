"""Keeps who is not to be paid for the time being, and what they say against it."""

import django.db.models.deletion
import payments.models.encrypted
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0037_destinations_by_script'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ExclusionList',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('reason', models.CharField(max_length=300)),
                ('source', models.CharField(max_length=300)),
                ('valid_from', models.DateField()),
                ('valid_to', models.DateField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('program', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='exclusion_lists', to='payments.program')),
            ],
        ),
        migrations.CreateModel(
            name='Exclusion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('identity_hash', models.BinaryField(max_length=32)),
                ('created_at', models.DateTimeField()),
                ('lifted_at', models.DateTimeField(null=True)),
                ('created_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('exclusion_list', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='payments.exclusionlist')),
            ],
        ),
        migrations.CreateModel(
            name='Appeal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('words', payments.models.encrypted.EncryptedJSONField(context='appeal.words')),
                ('outcome', models.CharField(choices=[('open', 'Waits for a decision'), ('upheld', 'The exclusion stands'), ('lifted', 'The exclusion is lifted')], default='open', max_length=10)),
                ('lodged_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('decided_at', models.DateTimeField(null=True)),
                ('decision_note', models.CharField(blank=True, max_length=300)),
                ('beneficiary', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='appeals', to='payments.beneficiary')),
                ('decided_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('excluded_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('program', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='appeals', to='payments.program')),
                ('recorded_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('exclusion', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='appeals', to='payments.exclusion')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('outcome', 'open')), fields=['due_at'], name='appeal_open')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('outcome', 'open')), fields=('exclusion',), name='appeal_one_open'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('decided_by', None), ('outcome', 'open')), models.Q(('decided_at__isnull', False), ('decided_by__isnull', False), ('outcome__in', ['upheld', 'lifted']), models.Q(('decided_by', models.F('excluded_by')), _negated=True), models.Q(('decided_by', models.F('recorded_by')), _negated=True)), _connector='OR'), name='appeal_decided_by_another')],
            },
        ),
        migrations.AddConstraint(
            model_name='exclusionlist',
            constraint=models.UniqueConstraint(fields=('program', 'name'), name='exclusionlist_name_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='exclusionlist',
            constraint=models.CheckConstraint(condition=models.Q(('valid_to', None), ('valid_to__gte', models.F('valid_from')), _connector='OR'), name='exclusionlist_dates_ordered'),
        ),
        migrations.AddConstraint(
            model_name='exclusion',
            constraint=models.UniqueConstraint(fields=('identity_hash', 'exclusion_list'), name='exclusion_person_once_a_list'),
        ),
    ]
