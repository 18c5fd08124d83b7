"""Claims: entitlements of people without an address, links, messages, and the rule of a program that allows them."""

import django.core.validators
import django.db.models.deletion
import payments.models.encrypted
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0043_consent_and_erasure'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ClaimLink',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('secret_hash', models.BinaryField(max_length=32, unique=True)),
                ('channel', models.CharField(choices=[('sms', 'SMS'), ('email', 'E-mail'), ('paper', 'On paper')], max_length=10)),
                ('contact', payments.models.encrypted.EncryptedJSONField(context='claimlink.contact', null=True)),
                ('made_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('codes_sent', models.PositiveSmallIntegerField(default=0)),
                ('code_hash', models.BinaryField(max_length=32, null=True)),
                ('code_expires_at', models.DateTimeField(null=True)),
                ('used_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Entitlement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('claimed', 'Claimed'), ('listed', 'Listed'), ('expired', 'Expired'), ('withdrawn', 'Withdrawn')], default='waiting', editable=False, max_length=10)),
                ('opened_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Message',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('claim_link', 'Claim link'), ('claim_code', 'Code')], max_length=10)),
                ('channel', models.CharField(choices=[('sms', 'SMS'), ('email', 'E-mail'), ('paper', 'On paper')], max_length=10)),
                ('content', payments.models.encrypted.EncryptedJSONField(context='message.content', null=True)),
                ('message_id', models.UUIDField(unique=True)),
                ('made_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('sent_at', models.DateTimeField(null=True)),
                ('failed_at', models.DateTimeField(null=True)),
                ('error', models.CharField(blank=True, max_length=300)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='payment',
            name='payment_person_once_a_cycle',
        ),
        migrations.AddField(
            model_name='program',
            name='claim_term_days',
            field=models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(3650)]),
        ),
        migrations.AlterField(
            model_name='outcomebaseline',
            name='figure',
            field=models.CharField(choices=[('cost_per_payment', 'Cost of a payment'), ('cost_share', 'Cost as a share of what was paid'), ('settled_share', 'Approved payments that are settled'), ('approved_to_settled_p50', 'From approval to settlement, half of them'), ('approved_to_settled_p95', 'From approval to settlement, 95 of 100'), ('failed_share', 'Approved payments whose payout was given up'), ('held_share', 'Payments on lists that were held'), ('duplicates_stopped', 'Rows of files that repeat a person or a reference'), ('settled_to_reconciled_p95', 'From settlement to a clean reconciliation, 95 of 100'), ('disputed_share', 'Payments that a grievance was lodged about'), ('unclaimed_share', 'Payments on lists that nobody has claimed'), ('answered_in_time', 'Grievances answered within their time')], max_length=30),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.UniqueConstraint(condition=models.Q(models.Q(('status__in', ['cancelled', 'voided']), _negated=True), models.Q(('script_pubkey', None), ('status', 'held'), _negated=True)), fields=('cycle', 'beneficiary'), name='payment_person_once_a_cycle'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(('script_pubkey', None), models.Q(('script_pubkey', b''), _negated=True), _connector='OR'), name='payment_script_or_none'),
        ),
        migrations.AddField(
            model_name='claimlink',
            name='code_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='claimlink',
            name='destination',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='claim_link', to='payments.destination'),
        ),
        migrations.AddField(
            model_name='claimlink',
            name='enrollment',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='claim_links', to='payments.enrollment'),
        ),
        migrations.AddField(
            model_name='claimlink',
            name='made_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='entitlement',
            name='paid_by',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='pays_entitlement', to='payments.payment'),
        ),
        migrations.AddField(
            model_name='entitlement',
            name='payment',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='entitlement', to='payments.payment'),
        ),
        migrations.AddField(
            model_name='message',
            name='link',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='payments.claimlink'),
        ),
        migrations.AddField(
            model_name='message',
            name='program',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='payments.program'),
        ),
        migrations.AddConstraint(
            model_name='claimlink',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('enrollment',), name='claimlink_one_open'),
        ),
        migrations.AddConstraint(
            model_name='claimlink',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('destination', None), ('used_at', None)), models.Q(('destination__isnull', False), ('ended_at__isnull', False), ('used_at__isnull', False)), _connector='OR'), name='claimlink_used_once'),
        ),
        migrations.AddConstraint(
            model_name='claimlink',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('made_at'))), name='claimlink_has_a_term'),
        ),
        migrations.AddIndex(
            model_name='entitlement',
            index=models.Index(condition=models.Q(('status', 'waiting')), fields=['expires_at'], name='entitlement_due'),
        ),
        migrations.AddConstraint(
            model_name='entitlement',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('opened_at'))), name='entitlement_has_a_term'),
        ),
        migrations.AddConstraint(
            model_name='entitlement',
            constraint=models.CheckConstraint(condition=models.Q(('paid_by__isnull', False), models.Q(('status', 'listed'), _negated=True), _connector='OR'), name='entitlement_listed_by_a_line'),
        ),
        migrations.AddConstraint(
            model_name='entitlement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('status__in', ('waiting', 'claimed'))), models.Q(('ended_at__isnull', False), models.Q(('status__in', ('waiting', 'claimed')), _negated=True)), _connector='OR'), name='entitlement_ends_once'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('failed_at', None), ('sent_at', None)), fields=['due_at'], name='message_due'),
        ),
        migrations.AddConstraint(
            model_name='message',
            constraint=models.CheckConstraint(condition=models.Q(('sent_at', None), ('failed_at', None), _connector='OR'), name='message_ends_one_way'),
        ),
        migrations.AddConstraint(
            model_name='message',
            constraint=models.CheckConstraint(condition=models.Q(('content__isnull', False), ('sent_at__isnull', False), ('failed_at__isnull', False), _connector='OR'), name='message_waits_with_its_content'),
        ),
    ]
