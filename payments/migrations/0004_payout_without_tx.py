"""Drops from a payout what its versions say now."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("payments", "0003_payout_versions_filled")]
    operations = [
        migrations.RemoveConstraint(
            model_name='payout',
            name='payout_txid_once',
        ),
        migrations.RemoveField(
            model_name='payout',
            name='change_sat',
        ),
        migrations.RemoveField(
            model_name='payout',
            name='change_script_pubkey',
        ),
        migrations.RemoveField(
            model_name='payout',
            name='change_vout',
        ),
        migrations.RemoveField(
            model_name='payout',
            name='fee_sat',
        ),
        migrations.RemoveField(
            model_name='payout',
            name='feerate_sat_kvb',
        ),
        migrations.RemoveField(
            model_name='payout',
            name='txid',
        ),
        migrations.RemoveField(
            model_name='payout',
            name='unsigned_tx',
        ),
        migrations.RemoveField(
            model_name='payout',
            name='vsize_vb',
        ),
    ]
