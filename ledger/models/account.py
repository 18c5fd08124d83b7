"""Accounts of the books."""

from django.db import models
from django.db.models import Q

# The grammar of account names in beancount, whose checker auditors may run over an export.
CODE = r"^(Assets|Liabilities|Equity|Income|Expenses)(:[A-Z0-9][A-Za-z0-9-]*)+$"


class AccountKind(models.TextChoices):
    """The five kinds; debits are positive amounts, credits negative ones, in all of them."""

    ASSET = "asset", "Asset"
    LIABILITY = "liability", "Liability"
    EQUITY = "equity", "Equity"
    INCOME = "income", "Income"
    EXPENSE = "expense", "Expense"


class Account(models.Model):
    """An account in one currency; its amounts are whole units of ``10 ** -scale`` of it (satoshis: BTC, 8)."""

    code = models.CharField(max_length=120, unique=True)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=AccountKind)
    currency = models.CharField(max_length=3, default="BTC")
    scale = models.PositiveSmallIntegerField(default=8)
    scope = models.CharField(max_length=40, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(code__regex=CODE), name="account_code_grammar"),
            models.CheckConstraint(
                condition=Q(kind="asset", code__startswith="Assets:")
                | Q(kind="liability", code__startswith="Liabilities:")
                | Q(kind="equity", code__startswith="Equity:")
                | Q(kind="income", code__startswith="Income:")
                | Q(kind="expense", code__startswith="Expenses:"),
                name="account_kind_is_its_root",
            ),
        ]

    def __str__(self) -> str:
        return self.code
