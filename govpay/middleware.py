"""Relaxes the content security policy on the paths that settings name, and nowhere else."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse


class PathContentPolicy:
    """Replaces directives below the prefixes of CONTENT_SECURITY_POLICY_PATHS; all else keeps the strict policy."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for prefix, directives in settings.CONTENT_SECURITY_POLICY_PATHS.items():
            if request.path.startswith(prefix):
                response._csp_replace = directives  # type: ignore[attr-defined]
        return response
