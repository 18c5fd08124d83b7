"""Cursor pages: the last page of a million rows costs what the first one does."""

from rest_framework.pagination import CursorPagination


class CursorPages(CursorPagination):
    """Newest first by primary key; ``page_size`` up to 500."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500
    ordering = "-id"
