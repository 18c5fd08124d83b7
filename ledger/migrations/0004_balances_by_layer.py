"""The index that answers balances holds the layer too, so that a balance still reads the index alone."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ledger", "0003_layers_elements_periods")]
    operations = [
        AddIndexConcurrently(
            "posting",
            models.Index(fields=["account", "entry"], include=("amount", "layer"), name="posting_balance"),
        ),
        RemoveIndexConcurrently("posting", "posting_account"),
    ]
