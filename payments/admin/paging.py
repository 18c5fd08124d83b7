"""Counts the rows of a list only as far as anybody pages through one, so that millions cost nothing."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.views import ChangeList

MOST_ROWS = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Shows at most the first 10,000 rows of a list; what lies behind is found by search and filter."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, or MOST_ROWS when there are more."""
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_ROWS].count())

    @property
    def is_cut(self) -> bool:
        """Say whether the list is longer than what its pages show."""
        return self.count == MOST_ROWS


class BoundedChangeList(ChangeList):
    """Offers to show everything only where a search or a filter hides something."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the rows of the page."""
        super().get_results(request)
        if not (self.query or self.has_active_filters):
            self.full_result_count = self.result_count
