"""What every public address does first: count what comes from one caller's address."""

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from govpay.api import limits

LIMIT = "public"


def limited(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Answer 429 to an address that asked too often within a minute, before anything is read."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, **given: Any) -> HttpResponse:
        taken = limits.take(LIMIT, limits.address_key(request))
        if taken is None or taken.may:
            return view(request, **given)
        said = limits.headers(LIMIT, taken) | {"Retry-After": str(taken.wait_s), "Cache-Control": "no-store"}
        text = f"Too many requests came from this address. Ask again in {taken.wait_s} seconds.\n"
        return HttpResponse(text, status=429, headers=said, content_type="text/plain; charset=utf-8")

    return guarded
