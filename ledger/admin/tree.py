"""The chart of accounts as a tree, with what stands on each branch and account now or at the end of a day."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from govpay.said import say_form
from ledger import books
from ledger.admin import cells, scopes
from ledger.models import Account, Layer

ROOTS = ("Assets", "Liabilities", "Equity", "Income", "Expenses")
# A tree of so many accounts is shown unfolded; of a larger one the first branches alone.
UNFOLDED = 60


class AtForm(forms.Form):
    """Which accounts, in which layer, at the end of which day; without one, now."""

    at = forms.DateField(
        required=False, label="At the end of (UTC)", widget=forms.DateInput(attrs={"type": "date"})
    )
    scope = forms.ChoiceField(required=False, label="Scope")
    layer = forms.ChoiceField(required=False, label="Layer", choices=Layer.choices)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scope"].choices = [("", "all scopes"), *scopes.with_accounts()]  # type: ignore[attr-defined]


@dataclass
class Branch:
    """A part of a code with what is below it; ``sums`` are debits minus credits by currency and scale."""

    name: str
    is_open: bool
    branches: dict[str, "Branch"] = field(default_factory=dict)
    leaves: list[tuple[str, str, str, str]] = field(default_factory=list)
    sums: dict[tuple[str, int], int] = field(default_factory=dict)
    count: int = 0

    @property
    def amounts(self) -> list[str]:
        """The sums, each with its unit."""
        return [cells.amount(units, *unit) for unit, units in sorted(self.sums.items())]

    @property
    def children(self) -> Iterable["Branch"]:
        """The branches, in their order."""
        return self.branches.values()


def show(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the tree."""
    form = AtForm(request.GET or None)
    say_form(form)
    chosen = form.cleaned_data if form.is_valid() else {}
    scope, at = chosen.get("scope"), chosen.get("at")
    rows = books.standing([scope] if scope else None, at, layer=chosen.get("layer") or Layer.SETTLED)
    sums: dict[tuple[str, int], int] = {}
    for row in rows:
        sums[row.currency, row.scale] = sums.get((row.currency, row.scale), 0) + row.balance
    context = model_admin.page(request, "Chart of accounts") | {
        "form": form,
        "roots": grow(rows),
        "is_balanced": not any(sums.values()),
        "when": f"at the end of {at:%Y-%m-%d} UTC" if at else "now",
        "is_refused": form.is_bound and not form.is_valid(),
    }
    return TemplateResponse(request, "ledger/admin/tree.html", context)


def grow(rows: list[books.Standing]) -> list[Branch]:
    """Return the roots of the tree of accounts, in the order in which accountants name them."""
    trunk = Branch("", is_open=True)
    for row in rows:
        *parts, last = row.code.split(":")
        branch = trunk
        for depth, part in enumerate(parts):
            is_open = depth == 0 or len(rows) <= UNFOLDED
            branch = branch.branches.setdefault(part, Branch(part, is_open))
            unit = (row.currency, row.scale)
            branch.sums[unit] = branch.sums.get(unit, 0) + row.balance
            branch.count += 1
        amount = cells.amount(row.balance, row.currency, row.scale)
        branch.leaves.append(
            (cells.link(cells.page_of(Account, row.id), last), row.name, scopes.named(row.scope), amount)
        )
    return [trunk.branches[root] for root in ROOTS if root in trunk.branches]
