"""Relaxes the content security policy on the admin's paths, and nowhere else."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse


class AdminContentPolicy:
    """The admin's theme needs eval and inline styles; every other page keeps the strict policy."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path.startswith("/admin/"):
            response._csp_replace = {  # type: ignore[attr-defined]
                "script-src": settings.ADMIN_SCRIPT_SRC,
                "style-src": settings.ADMIN_STYLE_SRC,
            }
        return response
