"""Grievances: what people complain of, and figures about them."""

import django.core.validators
import django.db.models.deletion
import payments.models.encrypted
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0039_verifications'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='outcomebaseline',
            name='figure',
            field=models.CharField(choices=[('cost_per_payment', 'Cost of a payment'), ('cost_share', 'Cost as a share of what was paid'), ('settled_share', 'Approved payments that are settled'), ('approved_to_settled_p50', 'From approval to settlement, half of them'), ('approved_to_settled_p95', 'From approval to settlement, 95 of 100'), ('failed_share', 'Approved payments whose payout was given up'), ('held_share', 'Payments on lists that were held'), ('duplicates_stopped', 'Rows of files that repeat a person or a reference'), ('settled_to_reconciled_p95', 'From settlement to a clean reconciliation, 95 of 100'), ('disputed_share', 'Payments that a grievance was lodged about'), ('answered_in_time', 'Grievances answered within their time')], max_length=30),
        ),
        migrations.AddField(
            model_name='program',
            name='grievance_due_days',
            field=models.PositiveSmallIntegerField(default=30, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(365)]),
        ),
        migrations.CreateModel(
            name='Grievance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('category', models.CharField(choices=[('not_received', 'Money did not come'), ('deduction', 'Somebody kept a part'), ('wrong_amount', 'The amount is wrong'), ('identity_taken', 'Somebody uses my name'), ('wrong_exclusion', 'I should be in the program'), ('other', 'Something else')], max_length=20)),
                ('status', models.CharField(choices=[('lodged', 'Lodged'), ('working', 'Working'), ('answered', 'Answered'), ('closed', 'Closed'), ('withdrawn', 'Withdrawn')], default='lodged', editable=False, max_length=10)),
                ('is_proved', models.BooleanField(default=False)),
                ('said', payments.models.encrypted.EncryptedJSONField(context='grievance.said')),
                ('received_sat', models.BigIntegerField(null=True)),
                ('secret_hash', models.BinaryField(max_length=32, unique=True)),
                ('finding', models.CharField(blank=True, choices=[('upheld', 'Upheld'), ('partly_upheld', 'Upheld in part'), ('not_upheld', 'Not upheld')], max_length=15)),
                ('answer', payments.models.encrypted.EncryptedJSONField(context='grievance.answer', null=True)),
                ('lodged_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('answered_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('enrollment', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='grievances', to='payments.enrollment')),
                ('lodged_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('owner', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('payment', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='grievances', to='payments.payment')),
                ('program', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='grievances', to='payments.program')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('status__in', ('lodged', 'working'))), fields=['due_at'], name='grievance_due')],
                'constraints': [models.CheckConstraint(condition=models.Q(('received_sat', None), models.Q(('received_sat__gte', 0), ('received_sat__lte', 2100000000000000)), _connector='OR'), name='grievance_amount_in_range'), models.CheckConstraint(condition=models.Q(('owner__isnull', False), ('status__in', ['lodged', 'withdrawn']), _connector='OR'), name='grievance_worked_by_somebody'), models.CheckConstraint(condition=models.Q(models.Q(('answer__isnull', False), ('answered_at__isnull', False), ('finding__in', ['upheld', 'partly_upheld', 'not_upheld'])), models.Q(('status__in', ['answered', 'closed']), _negated=True), _connector='OR'), name='grievance_answered_with_a_finding'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', False), ('status__in', ['closed', 'withdrawn'])), models.Q(('ended_at__isnull', True), models.Q(('status__in', ['closed', 'withdrawn']), _negated=True)), _connector='OR'), name='grievance_ends_once'), models.CheckConstraint(condition=models.Q(('due_at__gt', models.F('lodged_at'))), name='grievance_due_later')],
            },
        ),
    ]
