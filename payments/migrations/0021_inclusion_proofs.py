"""Places in blocks are kept for all final payouts, not for anchors only, and headers for all blocks that are read."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0020_interventions_withdrawn")]

    operations = [
        migrations.RenameModel("AnchorProof", "InclusionProof"),
        migrations.AlterField(
            "inclusionproof",
            "payout",
            models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="inclusion_proofs",
                to="payments.payout",
            ),
        ),
        migrations.RemoveConstraint("inclusionproof", "anchorproof_once"),
        migrations.AddConstraint(
            "inclusionproof",
            models.UniqueConstraint(fields=["payout", "block_hash"], name="inclusionproof_once"),
        ),
        migrations.AddField("block", "header", models.BinaryField(max_length=80, null=True)),
    ]
