"""Cursor pages: the last page of a million rows costs what the first one does."""

import re
from typing import Any

from rest_framework import exceptions
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from govpay.api.converters import MAX_ID

MAX_PAGE = 500


class CursorPages(CursorPagination):
    """Newest first by primary key; ``page_size`` up to 500. Every ordering here is by one integer column."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = MAX_PAGE
    ordering = "-id"

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        """Return the column of the pages, in the direction that is asked for; raise ValidationError for another."""
        asked = request.query_params.get("ordering", self.ordering)
        if asked not in self.orderings():
            message = f"ordering is one of {', '.join(self.orderings())}."
            raise exceptions.ValidationError({"ordering": [message]}, code="ordering_invalid")
        return (asked,)

    @classmethod
    def orderings(cls) -> tuple[str, str]:
        """Return both directions of the one column by which a page is found as cheaply at the end as at the start."""
        column = cls.ordering.removeprefix("-")
        return column, f"-{column}"

    def get_page_size(self, request: Request) -> int | None:
        """Return the rows a page; raise ValidationError rather than guess what was meant."""
        text: Any = request.query_params.get("page_size")
        if text is None:
            return self.page_size
        if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_PAGE:
            message = f"page_size is a whole number from 1 to {MAX_PAGE}."
            raise exceptions.ValidationError({"page_size": [message]}, code="page_size_invalid")
        return int(text)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor; raise ValidationError for one that we did not make."""
        if request.query_params.get("cursor") == "":
            raise _invalid()
        try:
            cursor = super().decode_cursor(request)
        except exceptions.NotFound as error:
            raise _invalid() from error
        position: Any = None if cursor is None else cursor.position
        if position is not None and not (re.fullmatch(r"[0-9]{1,19}", position) and int(position) <= MAX_ID):
            raise _invalid()
        return cursor

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the parameters with their bounds."""
        return [
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "Where the page starts: take it from next or previous.",
                "schema": {"type": "string"},
            },
            {
                "name": "page_size",
                "in": "query",
                "required": False,
                "description": "Rows a page.",
                "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": self.page_size},
            },
            {
                "name": "ordering",
                "in": "query",
                "required": False,
                "description": "The direction of the pages; a cursor belongs to the one that it was given for.",
                "schema": {"type": "string", "enum": list(self.orderings()), "default": self.ordering},
            },
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe a page in the terms of OpenAPI 3.1."""
        link = {"type": ["string", "null"], "format": "uri"}
        properties = {"next": link, "previous": link, "results": schema}
        return {"type": "object", "properties": properties, "required": ["next", "previous", "results"]}


class OldestFirst(CursorPages):
    """In the order in which things happened or stand in a file."""

    ordering = "id"


class LineOrder(CursorPages):
    """Payments in the order of their list."""

    ordering = "line"


class NumberOrder(CursorPages):
    """Events in the order of their numbers."""

    ordering = "number"


def _invalid() -> exceptions.ValidationError:
    message = "The cursor is not one that a page gave."
    return exceptions.ValidationError({"cursor": [message]}, code="cursor_invalid")
