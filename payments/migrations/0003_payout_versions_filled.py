"""Moves what a payout knew of its one tx to its first version."""

from django.db import migrations

# The one version of payouts that were never signed, and what the signed ones lacked.
FORWARD = """
UPDATE payments_payouttx t SET unsigned_tx = p.unsigned_tx, fee_added_sat = p.fee_sat, change_sat = p.change_sat,
    feerate_sat_kvb = p.feerate_sat_kvb, built_at = p.created_at
FROM payments_payout p WHERE p.id = t.payout_id;
INSERT INTO payments_payouttx
    (payout_id, kind, txid, unsigned_tx, fee_sat, fee_added_sat, change_sat, vsize_vb, feerate_sat_kvb, built_at)
SELECT p.id, 'original', p.txid, p.unsigned_tx, p.fee_sat, p.fee_sat, p.change_sat, p.vsize_vb, p.feerate_sat_kvb,
    p.created_at
FROM payments_payout p WHERE NOT EXISTS (SELECT FROM payments_payouttx t WHERE t.payout_id = p.id);
INSERT INTO payments_changeoutput (version_id, vout, amount_sat, script_pubkey)
SELECT t.id, p.change_vout, p.change_sat, p.change_script_pubkey
FROM payments_payout p JOIN payments_payouttx t ON t.payout_id = p.id WHERE p.change_vout IS NOT NULL;
UPDATE payments_payout p SET current_id = t.id,
    booked_fee_sat = CASE WHEN t.raw IS NULL THEN 0 ELSE t.fee_sat END
FROM payments_payouttx t WHERE t.payout_id = p.id;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_payout_versions")]
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
