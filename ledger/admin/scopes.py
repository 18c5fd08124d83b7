"""What scopes are called on the pages: the books know program:7, and whoever opened it, by settings, what its name is."""

from collections.abc import Iterable

from django.conf import settings
from django.utils.module_loading import import_string

from ledger.models import Account

# Of this process: a scope keeps the name that it has.
_names: dict[str, str] = {}


def named(scope: str) -> str:
    """Return the scope with its name before it, such as ``PENSIONS (program:7)``; alone where it has none."""
    if scope not in _names:
        _names.update(import_string(settings.LEDGER_SCOPES)())
        _names.setdefault(scope, "")
    return f"{_names[scope]} ({scope})" if _names[scope] else scope


def choices(scopes: Iterable[str]) -> list[tuple[str, str]]:
    """Return scopes as a form or a filter offers them."""
    return [(scope, named(scope)) for scope in scopes]


def with_accounts() -> list[tuple[str, str]]:
    """Return the scopes that have accounts, to choose from."""
    return choices(Account.objects.order_by("scope").values_list("scope", flat=True).distinct())
