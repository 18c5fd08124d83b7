"""Says through which door a request came, and relaxes the content security policy on the paths that settings name."""

from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from ledger import audit
from ledger.models import Door

# What is below none of these is the API.
DOORS = {"/admin/": Door.ADMIN, "/person/": Door.PERSON}
SERVER_ERROR = 500
# Django's own forms for users and passwords, which save in no database transaction.
FORMS = ("/admin/auth/", "/admin/password_change/")


class AuditDoor:
    """Lets acts be recorded as of this request, under the id that its log lines have."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        inside = (door for prefix, door in DOORS.items() if request.path.startswith(prefix))
        request_id = str(structlog.contextvars.get_contextvars().get("request_id", ""))
        with audit.through(next(inside, Door.API), request_id=request_id):
            if request.method == "POST" and request.path.startswith(FORMS):
                return self._whole(request)
            return self.get_response(request)

    @transaction.atomic
    def _whole(self, request: HttpRequest) -> HttpResponse:
        """Answer in one database transaction, so that what was saved is recorded or was not saved."""
        response = self.get_response(request)
        if response.status_code >= SERVER_ERROR:
            transaction.set_rollback(True)
        return response


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
