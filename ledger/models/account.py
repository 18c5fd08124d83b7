"""Accounts of the books."""

from django.core.validators import RegexValidator
from django.db import models


class AccountKind(models.TextChoices):
    """The five kinds; debits are positive amounts, credits negative ones, in all of them."""

    ASSET = "asset", "Asset"
    LIABILITY = "liability", "Liability"
    EQUITY = "equity", "Equity"
    INCOME = "income", "Income"
    EXPENSE = "expense", "Expense"


class Account(models.Model):
    """An account in one currency; its amounts are whole units of ``10 ** -scale`` of it (satoshis: BTC, 8)."""

    code = models.CharField(
        max_length=120,
        unique=True,
        validators=[RegexValidator(r"^[A-Z][A-Za-z0-9-]*(:[A-Z0-9][A-Za-z0-9-]*)+\Z")],
    )
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=AccountKind)
    currency = models.CharField(max_length=3, default="BTC")
    scale = models.PositiveSmallIntegerField(default=8)
    scope = models.CharField(max_length=40, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.code
