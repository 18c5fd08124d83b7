"""Which language pages speak: those for everybody what their address says, the admin what somebody chose at its foot."""

import functools
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers

STAFF = "/admin/"


class StaffLanguage:
    """Shows the admin in the language that was chosen there, else in the one that the browser prefers; nothing else.

    What is sent in parts, as files are, is made after this, in English.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(STAFF):
            return self.get_response(request)
        language = translation.get_language_from_request(request)
        with translation.override(language):
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response


def spoken(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Show a page in the language that ``?lang=`` names, else in the one that the browser prefers, else in English.

    ``request.language_query`` is what links to other pages end with, so that these speak the same language.
    """

    @functools.wraps(view)
    def translated(request: HttpRequest, **given: Any) -> HttpResponse:
        asked = request.GET.get("lang")
        named = asked if asked in dict(settings.LANGUAGES) else None
        language = named or translation.get_language_from_request(request)
        request.language_query = f"?lang={named}" if named else ""  # type: ignore[attr-defined]
        with translation.override(language):
            response = view(request, **given)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ["Accept-Language"])
        return response

    return translated
