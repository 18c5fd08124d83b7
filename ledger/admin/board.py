"""The board of breaks: how many cases are open, of which kind, whose, and since when; each figure leads to those cases."""

from collections import defaultdict
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import BigIntegerField, Count, F, QuerySet, Sum, Value, When
from django.db.models import Case as Choose
from django.db.models.functions import Abs, Coalesce, Now
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.contrib.filters.admin import DropdownFilter

from ledger.admin import cells
from ledger.admin.base import Table
from ledger.models import BreakKind, Case, CaseStatus

# The first day of each bucket's age, oldest first, and what it is called.
AGES = (
    (91, "over 90 days"),
    (31, "31 to 90 days"),
    (8, "8 to 30 days"),
    (1, "1 to 7 days"),
    (0, "under a day"),
)
NOBODY = "nobody"


def aged(rows: Any) -> Any:
    """Return cases with ``age``: the first day of the bucket that they are in."""
    old = (When(opened_at__lte=Now() - timedelta(days=days), then=Value(days)) for days, _ in AGES)
    return rows.annotate(age=Choose(*old, default=Value(0)))


class AgeFilter(DropdownFilter):
    """Offers the ages of the board; of cases that are not closed."""

    title = "age"
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the buckets."""
        return [(str(days), text) for days, text in reversed(AGES)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the open cases of the bucket."""
        found = [days for days, _ in AGES if str(days) == self.value()]
        return aged(queryset).filter(age=found[0]).exclude(status=CaseStatus.CLOSED) if found else queryset


class OwnerFilter(DropdownFilter):
    """Offers those who own a case that is not closed, and nobody."""

    title = "owner"
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the owners by name."""
        rows = Case.objects.exclude(status=CaseStatus.CLOSED).exclude(owner=None)
        names = rows.order_by("owner__username").values_list("owner__username", flat=True).distinct()
        return [(NOBODY, "nobody"), *((f"={name}", name) for name in names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the cases of the owner."""
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(owner=None) if value == NOBODY else queryset.filter(owner__username=value[1:])


def show(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the board: one statement, however many cases there are."""
    cases = aged(Case.objects.exclude(status=CaseStatus.CLOSED)).order_by()
    groups = list(
        cases.values("kind", "age", who=F("owner__username")).annotate(
            rows=Count("pk"), sat=Coalesce(Sum(Abs("amount_sat")), 0, output_field=BigIntegerField())
        )
    )
    kinds = dict(BreakKind.choices)
    context = model_admin.page(request, "Board of breaks") | {
        "tables": [
            _table("By kind", "Kind", groups, "kind", lambda kind: (kinds[kind], {"kind__exact": kind})),
            _table("By owner", "Owner", groups, "who", _of_owner),
        ],
    }
    return TemplateResponse(request, "ledger/admin/board.html", context)


def _of_owner(name: str | None) -> tuple[str, dict[str, str]]:
    return (NOBODY, {"owner": NOBODY}) if name is None else (name, {"owner": f"={name}"})


def _table(title: str, heading: str, groups: list[dict[str, Any]], column: str, called: Any) -> Table:
    """Lay the groups out: a row each value of the column, a column each age, and the sums."""
    counts: dict[Any, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    sums: dict[Any, int] = defaultdict(int)
    for group in groups:
        counts[group[column]][group["age"]] += group["rows"]
        sums[group[column]] += group["sat"]
    rows = []
    for value in sorted(counts, key=lambda found: (found is None, found)):
        name, query = called(value)
        ages = [_count(counts[value][days], query | {"age": str(days)}) for days, _ in reversed(AGES)]
        rows.append((name, *ages, cells.number(sum(counts[value].values())), cells.amount(sums[value])))
    headers = (
        heading,
        *(text.capitalize() for _, text in reversed(AGES)),
        "In all",
        "Moved on chain, without signs",
    )
    return Table(title, headers, rows, "No case is open: claims, books and blocks agree.")


def _count(count: int, query: dict[str, str]) -> str:
    if not count:
        return cells.EMPTY
    return cells.link(cells.list_of(Case, urlencode(query)), cells.number(count))
