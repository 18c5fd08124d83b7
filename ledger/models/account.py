"""Accounts of the books."""

from typing import NamedTuple

from django.db import models
from django.db.models import Q

# The grammar of account names in beancount, whose checker auditors may run over an export.
CODE = r"^(Assets|Liabilities|Equity|Income|Expenses)(:[A-Z0-9][A-Za-z0-9-]*)+$"
# Codes of classifications as ministries write them, such as A05270 or 10.71; empty where nobody classified.
ELEMENT = r"^([A-Z0-9][A-Z0-9.-]{0,29})?$"


class AccountKind(models.TextChoices):
    """The five kinds; debits are positive amounts, credits negative ones, in all of them."""

    ASSET = "asset", "Asset"
    LIABILITY = "liability", "Liability"
    EQUITY = "equity", "Equity"
    INCOME = "income", "Income"
    EXPENSE = "expense", "Expense"


class Elements(NamedTuple):
    """What every line of an account is classified by: who spends, what for, on what, out of which fund and project."""

    entity: str = ""
    function: str = ""
    object: str = ""
    fund: str = ""
    project: str = ""


class Account(models.Model):
    """An account in one currency; its amounts are whole units of ``10 ** -scale`` of it (satoshis: BTC, 8).

    The five elements are fixed with it, so that each of its lines has them for ever: another classification is another
    account.
    """

    code = models.CharField(max_length=120, unique=True)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=AccountKind)
    currency = models.CharField(max_length=3, default="BTC")
    scale = models.PositiveSmallIntegerField(default=8)
    scope = models.CharField(max_length=40, db_index=True)
    entity = models.CharField(max_length=30, blank=True, db_default="")
    function = models.CharField(max_length=30, blank=True, db_default="")
    object = models.CharField(max_length=30, blank=True, db_default="")
    fund = models.CharField(max_length=30, blank=True, db_default="")
    project = models.CharField(max_length=30, blank=True, db_default="")
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
            models.CheckConstraint(
                condition=Q(entity__regex=ELEMENT)
                & Q(function__regex=ELEMENT)
                & Q(object__regex=ELEMENT)
                & Q(fund__regex=ELEMENT)
                & Q(project__regex=ELEMENT),
                name="account_element_grammar",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def elements(self) -> Elements:
        """The five elements."""
        return Elements(self.entity, self.function, self.object, self.fund, self.project)
