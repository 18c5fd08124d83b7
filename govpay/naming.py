"""Has the names that code gives to models, fields, columns and buttons said in the reader's language (ADR 65).

They are declared in English where they belong; here each is wrapped once, when everything is loaded. Migrations do not see
it: they look at what was declared.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Field, Model
from django.utils.functional import Promise

from govpay.said import said, said_later

OURS = ("govpay", "ledger", "payments")
# What of a class of the admin, or of a filter, is shown.
SHOWN = ("noun", "when_empty", "search_help_text", "title")


def speak() -> None:
    """Wrap the names of our models and of their admins."""
    for model in models():
        meta: Any = model._meta
        # Before the other, of which it is made where nobody declared it.
        meta.verbose_name_plural = _later(str(meta.verbose_name_plural))
        meta.verbose_name = _later(meta.verbose_name)
        for field in fields(model):
            field.verbose_name = _later(field.verbose_name)
            field.help_text = _later(field.help_text)
            if field.choices:
                field.choices = [(value, _later(label)) for value, label in field.flatchoices]
    for app in (apps.get_app_config(label) for label in OURS):
        app.verbose_name = _later(app.verbose_name)
    admin.site.index_title = _later(admin.site.index_title)
    for kind in admin_classes():
        for name, value in list(vars(kind).items()):
            if name in SHOWN and isinstance(value, str):
                setattr(kind, name, _later(value))
            elif name == "fieldsets" and value:
                kind.fieldsets = tuple((_later(title), shown) for title, shown in value)
            elif name == "lookups":
                kind.lookups = _choices_said(value)
            elif isinstance(getattr(value, "short_description", None), str):
                setattr(kind, name, _result_said(value))


def models() -> Iterator[type[Model]]:
    """Yield our models."""
    return (model for model in apps.get_models() if model._meta.app_label in OURS)


def fields(model: type[Model]) -> Iterator[Any]:
    """Yield a model's own columns."""
    return (field for field in model._meta.get_fields() if isinstance(field, Field))


def admin_classes() -> Iterator[Any]:
    """Yield our classes of the admin and of its filters, each once."""
    seen: set[type] = set()
    for model_admin in admin.site._registry.values():
        filters = [each for each in model_admin.list_filter or () if isinstance(each, type)]
        for kind in (*type(model_admin).__mro__, *(base for each in filters for base in each.__mro__)):
            if kind.__module__.partition(".")[0] in OURS and kind not in seen:
                seen.add(kind)
                yield kind


def _result_said(show: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap what shows a column, or is a button: its name is said, and the plain text that it returns."""

    @functools.wraps(show)
    def shown(*given: Any, **named: Any) -> Any:
        return said(show(*given, **named))

    shown.short_description = _later(show.short_description)  # type: ignore[attr-defined]
    return shown


def _choices_said(lookups: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(lookups)
    def shown(*given: Any, **named: Any) -> list[tuple[Any, Any]]:
        return [(value, said(label)) for value, label in lookups(*given, **named)]

    return shown


def _later(text: Any) -> Any:
    return said_later(text) if isinstance(text, str) and text and not isinstance(text, Promise) else text
