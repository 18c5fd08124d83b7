"""Accounts with their balances, and the trial balance, in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.http import urlencode
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from govpay.said import say_form
from ledger import books, selectors
from ledger.admin import cells, reports, scopes, sources, tree
from ledger.admin.base import BookAdmin, Table
from ledger.admin.filters import ScopeFilter
from ledger.models import Account, Layer, Posting

SHOWN = 50


class TrialBalanceForm(forms.Form):
    """Which accounts, and when."""

    scope = forms.ChoiceField(required=False)
    at = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    as_of = forms.DateTimeField(required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"}))
    known_at = forms.DateTimeField(
        required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )
    layer = forms.ChoiceField(required=False, choices=Layer.choices)

    def clean(self) -> dict[str, Any]:
        """Refuse a day beside a time: they are two questions."""
        found: dict[str, Any] = super().clean() or {}
        if found.get("at") and (found.get("as_of") or found.get("known_at")):
            self.add_error("at", "Give a day, or times: not both.")
        return found

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scope"].choices = [("", "all scopes"), *scopes.with_accounts()]  # type: ignore[attr-defined]


@admin.register(Account)
class AccountAdmin(BookAdmin):
    """The chart of accounts and what stands on each."""

    list_display = ("code", "name", "type", "of_scope", "balance")
    list_filter = (ScopeFilter, ("kind", ChoicesDropdownFilter))
    search_fields = ("code",)
    search_help_text = "Search by the whole code"
    ordering = ("scope", "code")
    fields = (
        ("code", "name", "type"),
        ("of_scope", "currency", "balance"),
        ("entity", "function", "object", "fund", "project"),
        "opened",
    )
    actions_list = ("tree", "trial_balance", "show_reports")
    when_empty = "No account yet. A program's accounts are opened together with the program."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any, Any]:
        """Return the accounts with their balances."""
        return selectors.accounts_with_balance()

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses of accounts, and of the reports below them."""
        return [*reports.urls(self), *super().get_urls()]

    def find(self, term: str) -> Q:
        """Search by code."""
        return Q(code=term)

    def tables(self, row: Any) -> list[Table]:
        """Show the last lines on the account."""
        lines = Posting.objects.filter(account=row).select_related("entry").order_by("-entry_id", "-pk")
        return [
            Table(
                "Last lines",
                ("Entry", "Effective", "About", "Payment", "Amount"),
                [
                    (
                        cells.link(cells.page_of(type(line.entry), line.entry_id), line.entry),
                        cells.moment(line.entry.effective_at),
                        sources.about(line.entry.source_ref),
                        sources.payment(line.reference),
                        cells.amount(line.amount, row.currency, row.scale),
                    )
                    for line in lines[:SHOWN]
                ],
                "Nothing was ever posted on this account.",
                cells.list_of(Posting, f"account={row.pk}"),
            )
        ]

    @action(description="As a tree", url_path="tree", icon="account_tree", permissions=["view"])
    def tree(self, request: HttpRequest) -> HttpResponse:
        """Show the chart of accounts as a tree, at a date."""
        return tree.show(self, request)

    @action(description="Trial balance", url_path="trial-balance", icon="balance", permissions=["view"])
    def trial_balance(self, request: HttpRequest) -> HttpResponse:
        """Show debits and credits of every account: now, at the end of a day, as of a time, and as known at one."""
        form = TrialBalanceForm(request.GET or None)
        say_form(form)
        trial = _trial(form.cleaned_data if form.is_valid() else {})
        scales = {account.currency: account.scale for account in trial.accounts}
        context = self.page(request, "Trial balance") | {
            "form": form,
            "is_balanced": trial.is_balanced,
            "rows": [
                (
                    cells.link(cells.list_of(Account, urlencode({"q": account.code})), account.code),
                    account.name,
                    cells.amount(account.debit, account.currency, account.scale),
                    cells.amount(account.credit, account.currency, account.scale),
                    cells.amount(account.balance, account.currency, account.scale),
                )
                for account in trial.accounts
            ],
            "totals": [
                (
                    currency,
                    cells.amount(debit, currency, scales[currency]),
                    cells.amount(credit, currency, scales[currency]),
                )
                for currency, (debit, credit) in sorted(trial.totals().items())
            ],
        }
        return TemplateResponse(request, "ledger/admin/trial_balance.html", context)

    @action(description="Reports", url_path="reports", icon="summarize", permissions=["view"])
    def show_reports(self, request: HttpRequest) -> HttpResponse:
        """List the reports."""
        return reports.index(self, request)

    @display(description="kind")
    def type(self, row: Any) -> str:
        """Which of the five kinds it is."""
        return cells.label(row.get_kind_display())

    @display(description="balance")
    def balance(self, row: Any) -> str:
        """Debits minus credits."""
        return cells.amount(row.balance, row.currency, row.scale)

    @display(description="opened")
    def opened(self, row: Account) -> str:
        """When it was opened."""
        return cells.moment(row.created_at)


def _trial(chosen: dict[str, Any]) -> books.TrialBalance:
    """Add up from the days, or where a time is asked for, line by line."""
    scope, layer = chosen.get("scope") or None, chosen.get("layer") or Layer.SETTLED
    as_of, known_at = chosen.get("as_of"), chosen.get("known_at")
    if as_of is None and known_at is None:
        return books.trial(scope, chosen.get("at"), layer=layer)
    return books.trial_balance(scope, as_of, known_at=known_at, layer=layer)
