"""Filters of lists: declared, typed, and a parameter that nobody declared is an error."""

from typing import Any

from django import forms
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework import exceptions
from rest_framework.request import Request

from govpay.api.converters import MAX_ID

PAGE_PARAMETERS = frozenset({"cursor", "page_size", "ordering"})


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": MAX_ID})
class IdFilter(filters.NumberFilter):  # type: ignore[misc]
    """An exact match of an id; what no row can have is refused."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=1, max_value=MAX_ID, **kwargs)

    def get_max_validator(self) -> None:
        """Return nothing: the bound is the field's own."""
        return


@extend_schema_field({"type": "integer", "minimum": 0, "maximum": MAX_ID})
class AfterFilter(filters.NumberFilter):  # type: ignore[misc]
    """What is behind a number; behind 0 is all."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, lookup_expr="gt", min_value=0, max_value=MAX_ID, **kwargs)

    def get_max_validator(self) -> None:
        """Return nothing: the bound is the field's own."""
        return


class StrictFilterBackend(filters.DjangoFilterBackend):  # type: ignore[misc]
    """A misspelled filter would show the whole list as if it were filtered, so it is refused."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        """Return the filtered rows; raise ValidationError (``unknown_parameter``)."""
        filterset_class = self.get_filterset_class(view, queryset)
        known = (
            PAGE_PARAMETERS
            | set(("expand",) if getattr(view, "expansions", None) else ())
            | set(filterset_class.base_filters if filterset_class else ())
        )
        unknown = sorted(set(request.query_params) - known)
        if unknown:
            raise exceptions.ValidationError(
                {name: ["There is no such parameter here."] for name in unknown}, code="unknown_parameter"
            )
        filtered: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return filtered
