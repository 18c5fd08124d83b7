"""Turns every error into problem details (RFC 9457) with a stable code; the only place that maps them."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import structlog
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import DatabaseError, DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views import defaults
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from govpay.errors import GovPayError, Unavailable

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
MAX_ERRORS = 100
TITLES = {
    400: "The request is not valid",
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict with the present state",
    412: "Changed since it was looked at",
    413: "Too large",
    415: "Unsupported media type",
    422: "The content breaks a rule",
    429: "Too many requests",
    500: "Internal error",
    503: "A part that govpay needs does not answer",
}


# Sessions that PostgreSQL ended for idling or lasting too long inside a database transaction, and a server that is not
# yet the first: its driver calls them internal errors, yet the next attempt is another session.
PASSING_SQLSTATES = ("25P03", "25P04", "25006")


class ValueOutOfRange(GovPayError):
    """The database cannot represent a value that was sent."""

    code = "value_out_of_range"


class BodyTooLarge(GovPayError):
    """The body exceeds DATA_UPLOAD_MAX_MEMORY_SIZE; an uploaded file goes to disk and may be larger."""

    code = "body_too_large"
    http_status = 413


def problem(code: str, http_status: int, detail: str, **members: Any) -> dict[str, Any]:
    """Return the body of a problem: type, title, status, detail, code and extension members."""
    return {
        "type": f"urn:govpay:problem:{code}",
        "title": TITLES.get(http_status, "Error"),
        "status": http_status,
        "detail": detail,
        "code": code,
        **members,
    }


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the problem for an error a person can cause, or None so that a bug becomes a logged 500."""
    if isinstance(error, RequestDataTooBig | TooManyFieldsSent | TooManyFilesSent):
        error = BodyTooLarge("The request body is too large or has too many fields; upload a file instead.")
    if isinstance(error, UnreadablePostError):
        error = exceptions.ParseError("The body broke off before its end; nothing of it was taken.")
    if isinstance(error, DataError):
        # A number or time that Python can hold and the database cannot, which a parser should have refused.
        log.error("value_out_of_range", error=type(error.__cause__ or error).__name__)
        error = ValueOutOfRange("A value is outside what can be stored or compared.")
    if _is_passing(error):
        # The database is away, or gave up on a lock: nothing was written, and the same request may succeed.
        log.warning("database_unavailable", error=type(error).__name__)
        error = Unavailable("The database does not answer; try again.")
    if isinstance(error, GovPayError):
        body = problem(error.code, error.http_status, error.message, **_members(error))
        headers = {"Retry-After": "5"} if error.is_transient else {}
        if error.http_status == status.HTTP_401_UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return Response(body, error.http_status, headers=headers, content_type=CONTENT_TYPE)
    response = exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, exceptions.ValidationError):
        rows = list(islice(_rows(error.get_full_details()), MAX_ERRORS))
        detail = "; ".join(f"{row['field']}: {row['message']}" for row in rows[:5])
        body = problem("validation_error", response.status_code, detail, errors=rows)
    else:
        body = problem(_code(error), response.status_code, _detail(error))
    response.data = body
    response.content_type = CONTENT_TYPE
    return response


def _is_passing(error: Exception) -> bool:
    """Say whether the database failed for now only: gone, too busy, a deadlock, a lock that came too late."""
    if isinstance(error, OperationalError | InterfaceError):
        return True
    return isinstance(error, DatabaseError) and (
        getattr(error.__cause__, "sqlstate", None) in PASSING_SQLSTATES
    )


def _members(error: GovPayError) -> dict[str, Any]:
    """Return ``errors`` and, apart from the members that every problem has, the ``details``."""
    details = dict(error.details)
    members = {"errors": details.pop("errors")[:MAX_ERRORS]} if "errors" in details else {}
    return members | ({"details": details} if details else {})


def _code(error: Exception) -> str:
    if isinstance(error, Http404):
        return "not_found"
    if isinstance(error, PermissionDenied):
        return "forbidden"
    if isinstance(error, exceptions.PermissionDenied):
        return "forbidden"
    codes = error.get_codes() if isinstance(error, exceptions.APIException) else "error"
    return codes if isinstance(codes, str) else "error"


def _detail(error: Exception) -> str:
    if isinstance(error, exceptions.APIException):
        return str(error.detail)
    return "Not found." if isinstance(error, Http404) else "Not allowed."


def _rows(details: Any, field: str = "") -> Iterator[dict[str, str]]:
    """Yield field, code and message for each leaf of DRF's nested details."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        yield {"field": field or "body", "code": str(details["code"]), "message": str(details["message"])}
    elif isinstance(details, dict):
        for name, value in details.items():
            label = "" if name == "non_field_errors" else str(name)
            yield from _rows(value, ".".join(part for part in (field, label) if part))
    elif isinstance(details, list):
        is_leaf = all(isinstance(value, dict) and set(value) == {"message", "code"} for value in details)
        for index, value in enumerate(details):
            yield from _rows(value, field if is_leaf else f"{field}[{index}]")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an unknown address: with a problem under the API's, with Django's page elsewhere."""
    if not request.path.startswith("/api/"):
        return defaults.page_not_found(request, exception)
    body = problem("not_found", status.HTTP_404_NOT_FOUND, "There is nothing at this address.")
    return JsonResponse(body, status=404, content_type=CONTENT_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django refused before a view saw it."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    body = problem("bad_request", status.HTTP_400_BAD_REQUEST, "The request is malformed.")
    return JsonResponse(body, status=400, content_type=CONTENT_TYPE)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a bug with a problem that reveals nothing."""
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    body = problem("internal_error", 500, "govpay failed on this request; the failure has been logged.")
    return JsonResponse(body, status=500, content_type=CONTENT_TYPE)
