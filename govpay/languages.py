"""Lets pages for everybody speak the visitor's language; nothing is stored in the browser for it."""

import functools
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers


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
