"""Links from the books to what entries are about; where those pages are, a function named in settings knows."""

from functools import cache
from typing import Any, cast

from django.conf import settings
from django.utils.module_loading import import_string

from ledger.admin import cells


def about(source_ref: str, text: Any = None) -> str:
    """Write a source as a link to its page, where there is one."""
    shown = cells.long(source_ref) if text is None else text
    url = _find(settings.LEDGER_PAGES)(source_ref) if source_ref else None
    return cells.link(url, shown) if url else cast(str, shown)


def payment(reference: int | None) -> str:
    """Write the number of a payment as a link to its page."""
    return cells.EMPTY if reference is None else about(f"payment:{reference}", str(reference))


@cache
def _find(path: str) -> Any:
    return import_string(path)
