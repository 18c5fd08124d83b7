"""What every page of people does first: count what comes from one address, and keep the answer out of caches."""

import functools
import math
from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from rest_framework.throttling import SimpleRateThrottle

from govpay.languages import spoken

View = Callable[[HttpRequest], HttpResponse]


class PersonForm(forms.Form):
    """A form without colons behind its labels: which signs end a sentence is another thing in each language."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""


class FormsOfAddress(SimpleRateThrottle):
    """Counts the forms that come from one address, as signing in is counted."""

    scope = "person"

    def get_cache_key(self, request: Any, view: Any) -> str:
        """Return where the count of this address is kept."""
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


def public(view: View) -> View:
    """Let a view answer anybody: forms are counted by address before anything in them is read."""

    @spoken
    @never_cache
    @require_http_methods(["GET", "POST"])
    @functools.wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        throttle: Any = FormsOfAddress()
        if request.method == "POST" and not throttle.allow_request(request, view=None):
            wait_s = math.ceil(throttle.wait() or 1)
            response = render(request, "payments/person/wait.html", {"wait_s": wait_s}, status=429)
            response["Retry-After"] = str(wait_s)
        else:
            response = view(request)
        # Other sites are told nothing of where somebody comes from. Not "no-referrer": with that, browsers send our own
        # forms with `Origin: null`, which is refused as forged.
        response["Referrer-Policy"] = "same-origin"
        return response

    return guarded
