"""Budgets of programs: fiscal periods with running totals, the warrants that move them, and what lists commit."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# Over ranges of days, and of one number each for the program, so that it needs no extension.
DAYS_ONCE = """
ALTER TABLE payments_budgetperiod ADD CONSTRAINT budgetperiod_days_once EXCLUDE USING gist (
    int8range(program_id, program_id, '[]') WITH &&, daterange(first_date, last_date, '[]') WITH &&
) WHERE (closed_at IS NULL)
"""


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0033_lists_are_agreed_to'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='BudgetPeriod',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40)),
                ('first_date', models.DateField()),
                ('last_date', models.DateField()),
                ('allotted_sat', models.BigIntegerField(default=0, editable=False)),
                ('cash_released_sat', models.BigIntegerField(default=0, editable=False)),
                ('committed_sat', models.BigIntegerField(default=0, editable=False)),
                ('spent_sat', models.BigIntegerField(default=0, editable=False)),
                ('opened_at', models.DateTimeField(auto_now_add=True)),
                ('closed_at', models.DateTimeField(null=True)),
                ('close_note', models.CharField(blank=True, max_length=300)),
                ('closed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('opened_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('program', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='budget_periods', to='payments.program')),
            ],
        ),
        migrations.CreateModel(
            name='Commitment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('committed_sat', models.BigIntegerField()),
                ('spent_sat', models.BigIntegerField(default=0)),
                ('missing_sat', models.BigIntegerField(default=0)),
                ('disbursement', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='commitment', to='payments.disbursement')),
                ('period', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='commitments', to='payments.budgetperiod')),
            ],
        ),
        migrations.CreateModel(
            name='Warrant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('allotment', 'Allotment'), ('cash_release', 'Cash release')], max_length=12)),
                ('status', models.CharField(choices=[('proposed', 'Proposed'), ('confirmed', 'Confirmed'), ('rejected', 'Rejected'), ('withdrawn', 'Withdrawn')], default='proposed', editable=False, max_length=10)),
                ('amount_sat', models.BigIntegerField()),
                ('note', models.CharField(max_length=300)),
                ('proposed_at', models.DateTimeField(auto_now_add=True)),
                ('decided_at', models.DateTimeField(null=True)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('period', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='warrants', to='payments.budgetperiod')),
                ('proposed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.AddConstraint(
            model_name='budgetperiod',
            constraint=models.UniqueConstraint(fields=('program', 'name'), name='budgetperiod_name_once'),
        ),
        migrations.AddConstraint(
            model_name='budgetperiod',
            constraint=models.CheckConstraint(condition=models.Q(('first_date__lte', models.F('last_date'))), name='budgetperiod_days_ordered'),
        ),
        migrations.AddConstraint(
            model_name='budgetperiod',
            constraint=models.CheckConstraint(condition=models.Q(('committed_sat__lte', models.F('allotted_sat'))), name='budgetperiod_within_allotment'),
        ),
        migrations.AddConstraint(
            model_name='budgetperiod',
            constraint=models.CheckConstraint(condition=models.Q(('cash_released_sat__lte', models.F('allotted_sat'))), name='budgetperiod_cash_allotted'),
        ),
        migrations.AddConstraint(
            model_name='budgetperiod',
            constraint=models.CheckConstraint(condition=models.Q(('spent_sat__lte', models.F('cash_released_sat'))), name='budgetperiod_within_cash'),
        ),
        migrations.AddConstraint(
            model_name='budgetperiod',
            constraint=models.CheckConstraint(condition=models.Q(('spent_sat__gte', 0), ('spent_sat__lte', models.F('committed_sat'))), name='budgetperiod_spends_commitments'),
        ),
        migrations.AddConstraint(
            model_name='budgetperiod',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at', None), ('closed_by', None)), models.Q(('closed_at__isnull', False), ('closed_by__isnull', False)), _connector='OR'), name='budgetperiod_closed_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='commitment',
            constraint=models.CheckConstraint(condition=models.Q(('missing_sat__gte', 0), ('spent_sat__gte', 0), ('spent_sat__lte', models.F('committed_sat'))), name='commitment_spent_in_part'),
        ),
        migrations.AddConstraint(
            model_name='warrant',
            constraint=models.CheckConstraint(condition=models.Q(('amount_sat__gte', -2100000000000000), ('amount_sat__lte', 2100000000000000), models.Q(('amount_sat', 0), _negated=True)), name='warrant_amount_in_range'),
        ),
        migrations.AddConstraint(
            model_name='warrant',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by', None), models.Q(('decided_by', models.F('proposed_by')), _negated=True), _connector='OR'), name='warrant_two_people'),
        ),
        migrations.AddConstraint(
            model_name='warrant',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by__isnull', False), models.Q(('status__in', ['confirmed', 'rejected']), _negated=True), _connector='OR'), name='warrant_decided_by_somebody'),
        ),
        migrations.RunSQL(
            DAYS_ONCE, "ALTER TABLE payments_budgetperiod DROP CONSTRAINT budgetperiod_days_once"
        ),
    ]
