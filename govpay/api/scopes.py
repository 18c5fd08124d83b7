"""What a named token reaches: areas of addresses, to read or to write, perhaps of one program only.

An address is of the area of its first word, or below ``programs/ID/`` of the next one: ``disbursements/7/approve/`` is of
``disbursements``, ``programs/1/intakes/people/`` of ``intakes``. Every address has an area, so that none is forgotten.
"""

import functools
import re
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from govpay.errors import Forbidden, NotFound
from govpay.models import ApiToken
from payments.selectors import scope

PREFIX = "api/v1/"
READ_ALL = "read"
SAFE = ("GET", "HEAD", "OPTIONS")
# Whoever holds a token may ask whose it is, and end it.
OPEN = "auth"
FORM = re.compile(r"[a-z-]{1,40}:(read|write)")


class ScopeMissing(Forbidden):
    """The token does not reach this address; its user may."""

    code = "scope_missing"


def require(token: ApiToken, request: Any) -> None:
    """Raise ScopeMissing unless the token reaches the request's address, and NotFound for another program's things."""
    match = request.resolver_match
    area = area_of(match.route.removeprefix(PREFIX))
    if area == OPEN:
        return
    wanted = {f"{area}:write"}
    if request.method in SAFE:
        wanted |= {f"{area}:read", READ_ALL}
    if wanted.isdisjoint(token.scopes):
        verb = "read" if request.method in SAFE else "write"
        raise ScopeMissing(f"The token lacks the scope {area}:{verb}.", scope=f"{area}:{verb}")
    if token.program_id is None:
        return
    if not match.kwargs or not scope.knows(match.kwargs):
        raise ScopeMissing("The token reaches only addresses that name something of its program.")
    if not scope.is_of(token.program_id, **match.kwargs):
        raise NotFound("There is no such thing in the token's program.")


def area_of(route: str) -> str:
    """Return the area of an address below the prefix, as text or as a pattern."""
    words = route.split("/")
    return words[2] if words[0] == "programs" and len(words) > 2 and words[2] else words[0]


@functools.cache
def areas() -> tuple[str, ...]:
    """Return every area that there is."""
    return tuple(sorted({area_of(route.removeprefix(PREFIX)) for route in _routes()} - {OPEN}))


def is_scope(text: str) -> bool:
    """Tell whether a token may be given this scope."""
    return text == READ_ALL or (FORM.fullmatch(text) is not None and text.partition(":")[0] in areas())


def _routes(resolver: Any = None, start: str = "") -> Iterator[str]:
    for entry in (resolver or get_resolver()).url_patterns:
        route = start + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _routes(entry, route)
        elif isinstance(entry, URLPattern) and route.startswith(PREFIX):
            yield route
