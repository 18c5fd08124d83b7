"""Keeps what a list was converted from, and what was left over, with the list: lines get their satoshis when they are sealed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0068_reserve_acts_are_fixed")]
    operations = [
        migrations.AddField("disbursement", "converted_minor", models.BigIntegerField(null=True)),
        migrations.AddField("disbursement", "remainder_minor", models.BigIntegerField(null=True)),
        # Lists that were converted before have all of it on their lines.
        migrations.RunSQL(
            """
UPDATE payments_disbursement d SET converted_minor = p.minor, remainder_minor = p.rest FROM (
    SELECT disbursement_id, sum(amount_minor) AS minor, sum(remainder_minor) AS rest FROM payments_payment
    WHERE remainder_minor IS NOT NULL GROUP BY disbursement_id
) p WHERE p.disbursement_id = d.id AND d.quote_id IS NOT NULL
""",
            migrations.RunSQL.noop,
        ),
    ]
