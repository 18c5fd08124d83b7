"""Filters of the ledger's lists; none of them reads a large table to offer its choices."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter, TextFilter

from ledger import events
from ledger.admin import scopes
from ledger.admin.base import is_number
from ledger.treasury import movements


class ScopeFilter(DropdownFilter):
    """Offers the scopes that have accounts."""

    title = "scope"
    parameter_name = "scope"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the scopes."""
        return scopes.with_accounts()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows of the scope."""
        return queryset.filter(scope=self.value()) if self.value() else queryset


class InstitutionFilter(ScopeFilter):
    """Offers the institutions that have lots."""

    title = "institution"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return their scopes."""
        return scopes.choices(movements.institutions())


class KindFilter(DropdownFilter):
    """Offers the kinds of entries and their reversals."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the kinds."""
        kinds = [name for kind in events.KINDS for name in (kind, f"{kind}_reversal")]
        return [(kind, kind.replace("_", " ")) for kind in kinds]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the entries of the kind."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


def by_number(parameter: str, column: str) -> type[TextFilter]:
    """Return a filter by a number that the user types; what is no number finds nothing."""

    class NumberTextFilter(TextFilter):
        title = parameter
        parameter_name = parameter

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            term = (self.value() or "").strip()
            if not term:
                return queryset
            return queryset.filter(**{column: int(term)}) if is_number(term) else queryset.none()

    return NumberTextFilter
