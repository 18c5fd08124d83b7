"""Approvals a person, with the tier that was frozen onto their list, and the rules of a program that tiers come from."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0030_roles_that_exclude_each_other"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="disbursement",
            name="approval_tier",
            field=models.JSONField(null=True),
        ),
        migrations.CreateModel(
            name="ApprovalPolicy",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "approval_days",
                    models.PositiveSmallIntegerField(
                        default=14,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(365),
                        ],
                    ),
                ),
                ("note", models.CharField(max_length=300)),
                ("proposed_at", models.DateTimeField()),
                ("confirmed_at", models.DateTimeField(null=True)),
                ("dropped_at", models.DateTimeField(null=True)),
                ("key_id", models.CharField(blank=True, max_length=8)),
                ("mac", models.BinaryField(max_length=32, null=True)),
                (
                    "confirmed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "dropped_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "program",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="approval_policies",
                        to="payments.program",
                    ),
                ),
                (
                    "proposed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="GroupMember",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("group_name", models.CharField(max_length=40)),
                (
                    "policy",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="members",
                        to="payments.approvalpolicy",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ("group_name", "user_id"),
            },
        ),
        migrations.CreateModel(
            name="RollingCap",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("maker", "Maker"),
                            ("program", "Program"),
                            ("beneficiary", "Beneficiary"),
                            ("destination", "Destination"),
                        ],
                        max_length=11,
                    ),
                ),
                ("window_days", models.PositiveSmallIntegerField()),
                ("most_sat", models.BigIntegerField()),
                (
                    "policy",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="caps",
                        to="payments.approvalpolicy",
                    ),
                ),
            ],
            options={
                "ordering": ("kind", "window_days"),
            },
        ),
        migrations.CreateModel(
            name="TierNeed",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("up_to_sat", models.BigIntegerField(null=True)),
                ("group_name", models.CharField(max_length=40)),
                ("count", models.PositiveSmallIntegerField()),
                (
                    "policy",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="needs",
                        to="payments.approvalpolicy",
                    ),
                ),
            ],
            options={
                "ordering": ("up_to_sat", "group_name"),
            },
        ),
        migrations.CreateModel(
            name="Approval",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "step",
                    models.CharField(
                        choices=[("submit", "Submitted"), ("approve", "Approved"), ("release", "Released")],
                        max_length=7,
                    ),
                ),
                ("group_name", models.CharField(blank=True, max_length=40)),
                ("manifest_hash", models.BinaryField(max_length=32)),
                ("at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(null=True)),
                ("key_id", models.CharField(max_length=8)),
                ("mac", models.BinaryField(max_length=32)),
                (
                    "disbursement",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="approvals",
                        to="payments.disbursement",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("disbursement", "step", "user", "at"), name="approval_once"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("step", "release")),
                        fields=("disbursement", "manifest_hash"),
                        name="approval_one_release",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("expires_at__gt", models.F("at")),
                                ("step", "approve"),
                                models.Q(("group_name", ""), _negated=True),
                            ),
                            models.Q(
                                models.Q(("step", "approve"), _negated=True),
                                ("expires_at", None),
                                ("group_name", ""),
                            ),
                            _connector="OR",
                        ),
                        name="approval_of_a_group_until",
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="approvalpolicy",
            constraint=models.UniqueConstraint(
                condition=models.Q(("confirmed_at", None), ("dropped_at", None)),
                fields=("program",),
                name="approvalpolicy_one_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="approvalpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("confirmed_by", None),
                    models.Q(("confirmed_by", models.F("proposed_by")), _negated=True),
                    _connector="OR",
                ),
                name="approvalpolicy_two_people",
            ),
        ),
        migrations.AddConstraint(
            model_name="approvalpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("confirmed_at", None), ("confirmed_by", None), ("mac", None)),
                    models.Q(
                        ("confirmed_at__isnull", False),
                        ("confirmed_by__isnull", False),
                        ("dropped_at", None),
                        ("mac__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="approvalpolicy_confirmed_whole",
            ),
        ),
        migrations.AddConstraint(
            model_name="groupmember",
            constraint=models.UniqueConstraint(
                fields=("policy", "group_name", "user"), name="groupmember_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="rollingcap",
            constraint=models.UniqueConstraint(
                fields=("policy", "kind", "window_days"), name="rollingcap_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="rollingcap",
            constraint=models.CheckConstraint(
                condition=models.Q(("most_sat__gt", 0), ("window_days__gt", 0), ("window_days__lte", 366)),
                name="rollingcap_in_bounds",
            ),
        ),
        migrations.AddConstraint(
            model_name="tierneed",
            constraint=models.UniqueConstraint(
                fields=("policy", "up_to_sat", "group_name"), name="tierneed_once", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="tierneed",
            constraint=models.CheckConstraint(
                condition=models.Q(("count__gt", 0)), name="tierneed_of_somebody"
            ),
        ),
    ]
