"""Lets programs owe money: amounts in minor units beside satoshis, which a release adds by a quote.

What people are entitled to, ``amount`` and ``total``, is generated: adding it writes each payment and list once.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Coalesce


def _own(minor: str, sat: str) -> models.GeneratedField:
    return models.GeneratedField(
        expression=Coalesce(F(minor), F(sat)), output_field=models.BigIntegerField(), db_persist=True
    )


EMPTY = models.BigIntegerField(null=True)


class Migration(migrations.Migration):
    dependencies = [("payments", "0059_cancelled_payments_are_found")]
    operations = [
        migrations.RemoveConstraint("disbursement", "disbursement_not_empty"),
        migrations.RemoveConstraint("importjob", "importjob_list_has_control_totals"),
        migrations.RemoveConstraint("payment", "payment_sealed_whole"),
        migrations.RenameField("importjob", "expected_total_sat", "expected_total"),
        migrations.RenameField("importjob", "total_sat", "total"),
        migrations.RenameField("importrow", "amount_sat", "amount"),
        migrations.AlterField("program", "currency", models.CharField(default="sat", max_length=3)),
        migrations.AddField("disbursement", "total_minor", EMPTY),
        migrations.AlterField("disbursement", "total_sat", EMPTY),
        migrations.AddField("disbursement", "total", _own("total_minor", "total_sat")),
        migrations.AddField(
            "disbursement",
            "quote",
            models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="disbursement",
                to="payments.quote",
            ),
        ),
        migrations.AddField("payment", "amount_minor", EMPTY),
        migrations.AlterField("payment", "amount_sat", EMPTY),
        migrations.AddField("payment", "amount", _own("amount_minor", "amount_sat")),
        migrations.AddField("payment", "remainder_minor", EMPTY),
        migrations.AddField("payout", "payments_minor", EMPTY),
        migrations.AddConstraint(
            "program",
            models.CheckConstraint(
                condition=Q(currency__regex=r"^(sat|[A-Z]{3})$"), name="program_currency_code"
            ),
        ),
        migrations.AddConstraint(
            "disbursement",
            models.CheckConstraint(
                condition=Q(payment_count__gt=0, total__isnull=False, total__gt=0), name="disbursement_not_empty"
            ),
        ),
        migrations.AddConstraint(
            "disbursement",
            models.CheckConstraint(
                condition=Q(total_minor=None, quote=None, total_sat__isnull=False)
                | Q(total_minor__isnull=False, quote=None, total_sat=None)
                | Q(total_minor__isnull=False, quote__isnull=False, total_sat__isnull=False),
                name="disbursement_converted_by_a_quote",
            ),
        ),
        migrations.AddConstraint(
            "importjob",
            models.CheckConstraint(
                condition=Q(kind="people")
                | Q(expected_count__isnull=False, expected_total__isnull=False) & ~Q(period="") & ~Q(purpose=""),
                name="importjob_list_has_control_totals",
            ),
        ),
        migrations.AddConstraint(
            "payment",
            models.CheckConstraint(
                condition=Q(amount__isnull=False, amount__gt=0, amount__lte=2_100_000_000_000_000),
                name="payment_entitles_to_something",
            ),
        ),
        migrations.AddConstraint(
            "payment",
            models.CheckConstraint(
                condition=Q(remainder_minor=None) & (Q(amount_minor=None) | Q(amount_sat=None))
                | Q(remainder_minor__isnull=False, amount_minor__isnull=False, amount_sat__isnull=False),
                name="payment_converted_whole",
            ),
        ),
        migrations.AddConstraint(
            "payment",
            models.CheckConstraint(
                condition=Q(payout__isnull=True, vout__isnull=True)
                | Q(
                    payout__isnull=False,
                    vout__isnull=False,
                    amount_sat__isnull=False,
                    script_pubkey__isnull=False,
                    status__in=["pending", "voided"],
                ),
                name="payment_sealed_whole",
            ),
        ),
    ]
