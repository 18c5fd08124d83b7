"""Filters whose choices and answers never reach beyond the user's programs."""

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter, TextFilter

from payments.admin import scope
from payments.models import Program


class ProgramFilter(DropdownFilter):
    """Offers the user's own programs; ``model_admin.program_path`` says where a row's program is."""

    title = "program"
    parameter_name = "program"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the programs that the user may read."""
        programs = scope.limit(request, Program.objects.order_by("code"), "pk", *model_admin.also)
        self.path = model_admin.program_path
        return [(str(pk), code) for pk, code in programs.values_list("pk", "code")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows of the program."""
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(**{self.path: int(value)}) if value.isdecimal() else queryset.none()


class ProblemFilter(DropdownFilter):
    """Separates what waits or is frozen from what goes on."""

    title = "problem"
    parameter_name = "problem"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the two halves."""
        return [("yes", "Has a problem"), ("no", "Goes on")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep one half."""
        troubled = ~Q(problem="")
        return {"yes": queryset.filter(troubled), "no": queryset.exclude(troubled)}.get(
            self.value() or "", queryset
        )


class NumberFilter(TextFilter):
    """Keeps the rows that belong to the row with a number typed in, or linked to."""

    column: str

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows of that number; garbage finds nothing."""
        value = self.value()
        if not value:
            return queryset
        is_number = value.isascii() and value.isdecimal() and len(value) < 19
        return queryset.filter(**{self.column: int(value)}) if is_number else queryset.none()


def by_number(column_path: str, called: str) -> type[NumberFilter]:
    """Return a filter on a foreign key's number, with the URL parameter ``called``."""
    return type(
        f"{called.title()}Filter",
        (NumberFilter,),
        {"column": column_path, "title": f"{called.replace('_', ' ')} number", "parameter_name": called},
    )
