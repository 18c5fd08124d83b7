"""What moved on each account on each day, so that a balance is read without reading every line behind it.

All of this can be thrown away: it is added up anew from the lines. None of it is proof; entries are.
"""

from django.db import models
from django.db.models import Q

from ledger.models.account import Account
from ledger.models.entry import Layer


class DayTotal(models.Model):
    """Debits and credits of an account in one layer on one day (UTC, by when entries took effect), in its whole units."""

    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    layer = models.CharField(max_length=10, choices=Layer)
    day = models.DateField()
    debit = models.BigIntegerField()
    credit = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "layer", "day"], name="daytotal_once")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.layer} on {self.day}"


class DayMark(models.Model):
    """One row: the last entry that the days hold. Every entry up to it is in them, and none after it."""

    is_only = models.BooleanField(default=True, unique=True, editable=False)
    through_entry_id = models.BigIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(is_only=True), name="daymark_only_one")]

    def __str__(self) -> str:
        return f"through entry {self.through_entry_id}"
