"""The addresses of the API, read from the URL configuration."""

import re
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

CONVERTERS = re.compile(r"<(?:\w+:)?(\w+)>")
PREFIX = "api/v1/"


def patterns(resolver: Any = None, prefix: str = "") -> Iterator[tuple[str, type[APIView]]]:
    """Yield each address below PREFIX, such as ``/api/v1/payments/{payment_id}/``, and its view class."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, route)
        elif isinstance(entry, URLPattern) and route.startswith(PREFIX):
            yield "/" + CONVERTERS.sub(r"{\1}", route), entry.callback.view_class  # type: ignore[attr-defined]


def operations() -> Iterator[tuple[str, str]]:
    """Yield method and address of everything that the API answers."""
    for route, view in patterns():
        for method in ("get", "post", "put", "patch", "delete"):
            if hasattr(view, method):
                yield method.upper(), route


def names(route: str) -> list[str]:
    """Return the names of the ids in an address."""
    return re.findall(r"{(\w+)}", route)
