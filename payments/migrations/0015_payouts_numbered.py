"""Counts the payouts that went to a signer before they were counted, in the order of their making."""

from django.db import migrations

NUMBER = """
UPDATE payments_payout p SET claim_number = n.number FROM (
    SELECT id, row_number() OVER (PARTITION BY wallet_id ORDER BY id) AS number
    FROM payments_payout WHERE status NOT IN ('sealed', 'unsealed')
) n WHERE n.id = p.id AND p.claim_number IS NULL
AND NOT EXISTS (SELECT FROM payments_wallet w WHERE w.id = p.wallet_id AND w.signed_count > 0)
"""
COUNT = """
UPDATE payments_wallet w SET signed_count = (
    SELECT coalesce(max(claim_number), 0) FROM payments_payout p WHERE p.wallet_id = w.id)
WHERE signed_count = 0
"""


class Migration(migrations.Migration):
    """Data only; a number that is taken for nothing harms nobody, so that the way back leaves it."""

    dependencies = [("payments", "0014_payout_claim_number")]

    operations = [
        migrations.RunSQL(NUMBER, migrations.RunSQL.noop),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
    ]
