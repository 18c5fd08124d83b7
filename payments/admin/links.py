"""Where links may go: whoever may not open a kind of page sees names without links to it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

_may_open: ContextVar[Callable[[type[Model]], bool]] = ContextVar("may_open")


@contextmanager
def shown_to(request: HttpRequest) -> Iterator[None]:
    """Ask for whoever sends the request, once a model, while the block runs."""
    known: dict[type[Model], bool] = {}

    def may_open(model: type[Model]) -> bool:
        if model not in known:
            known[model] = admin.site.get_model_admin(model).has_view_permission(request)
        return known[model]

    token = _may_open.set(may_open)
    try:
        yield
    finally:
        _may_open.reset(token)


def may_open(model: type[Model]) -> bool:
    """Say whether the reader may open the pages of a model; outside of `shown_to` nobody asks."""
    ask = _may_open.get(None)
    return ask is None or ask(model)
