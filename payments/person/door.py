"""What pages of people share: forms, a count of what comes from one address, and answers that no cache keeps."""

import functools
import math
from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from rest_framework.throttling import SimpleRateThrottle

from govpay.languages import spoken
from payments.models import Program

View = Callable[..., HttpResponse]


class PersonForm(forms.Form):
    """A form without colons behind its labels: which signs end a sentence is another thing in each language."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""


class ProgramField(forms.ModelChoiceField):
    """A program by its name: people outside do not know codes."""

    def __init__(self, **kwargs: Any) -> None:
        rows = Program.objects.order_by("name")
        super().__init__(rows, label=_("Program"), empty_label=None, to_field_name="code", **kwargs)

    def label_from_instance(self, obj: Program) -> str:
        return obj.name


class FormsOfAddress(SimpleRateThrottle):
    """Counts the forms that come from one address, as signing in is counted."""

    scope = "person"

    def get_cache_key(self, request: Any, view: Any) -> str:
        """Return where the count of this address is kept."""
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


def public(view: View, *, counted: str = "POST") -> View:
    """Let a view answer anybody: forms, or what else is ``counted``, are counted by address before they are read."""

    @spoken
    @never_cache
    @require_http_methods(["GET", "POST"])
    @functools.wraps(view)
    def guarded(request: HttpRequest, **given: Any) -> HttpResponse:
        throttle: Any = FormsOfAddress()
        if request.method == counted and not throttle.allow_request(request, view=None):
            wait_s = math.ceil(throttle.wait() or 1)
            response = render(request, "payments/person/wait.html", {"wait_s": wait_s}, status=429)
            response["Retry-After"] = str(wait_s)
        else:
            response = view(request, **given)
        # Other sites are told nothing of where somebody comes from. Not "no-referrer": with that, browsers send our own
        # forms with `Origin: null`, which is refused as forged.
        response["Referrer-Policy"] = "same-origin"
        return response

    return guarded
