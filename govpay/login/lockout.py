"""Locks users and addresses out after too many wrong passwords or codes, known or not, and unlocks them."""

import ipaddress
from typing import Any

import structlog
from axes.handlers.database import AxesDatabaseHandler
from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from rest_framework.throttling import BaseThrottle

from govpay.api import problems
from govpay.login import acts, errors
from govpay.models import Authenticator, FailedLogin, SecurityKey
from ledger import audit

log = structlog.get_logger(__name__)
# Of those who may change users, and so their passwords.
UNLOCKS = "auth.change_user"


class Failures(AxesDatabaseHandler):  # type: ignore[misc]
    """Counts per user and per address, each with its own limit: many officers may share one address."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Return the greater count on the user's scale, on which both limits are the same number."""
        of_user, of_address = (
            rows.aggregate(total=Sum("failures_since_start"))["total"] or 0
            for rows in self.get_user_attempts(request, credentials)
        )
        return max(of_user, of_address - settings.GOVPAY_ADDRESS_FAILURES + settings.AXES_FAILURE_LIMIT)

    @transaction.atomic
    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: Any = None, **rest: Any
    ) -> None:
        """Count and record a failure together; whoever tries on while locked out is neither counted nor recorded."""
        was_locked = request.axes_locked_out
        super().user_login_failed(sender, credentials, request, **rest)
        if not was_locked:
            acts.refuse(credentials.get("username"), is_last=request.axes_locked_out)

    @transaction.atomic
    def user_logged_in(self, sender: Any, request: Any, user: Any, **rest: Any) -> None:
        """Forget the user's failures, and record that they signed in."""
        super().user_logged_in(sender, request, user, **rest)
        acts.accept(user)

    def reset_user_attempts(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Forget the failures of the user who has signed in, and no others from the same address."""
        of_user, _ = self.filter_user_attempts(request, credentials)
        count: int = of_user.delete()[0]
        return count


def address_of(request: HttpRequest) -> str | None:
    """Return the caller's address: what the proxies say that GOVPAY_PROXIES counts, and nothing that a caller says."""
    found = BaseThrottle().get_ident(request) or ""  # type: ignore[arg-type]
    try:
        return str(ipaddress.ip_address(found))
    except ValueError:
        return None


def count(request: HttpRequest, username: str) -> None:
    """Count a wrong code like a wrong password."""
    user_login_failed.send(sender=__name__, credentials={"username": username}, request=request)


def require(request: HttpRequest, username: str) -> None:
    """Raise LockedOut where a user or an address is locked out."""
    if not AxesProxyHandler.is_allowed(request, {"username": username}):
        raise errors.LockedOut("Too many attempts failed; try again later.")


def count_locked() -> int:
    """Return how many user names are locked out now."""
    since = timezone.now() - settings.AXES_COOLOFF_TIME
    lately = FailedLogin.objects.filter(attempt_time__gt=since).values("username")
    return (
        lately.annotate(failures=Sum("failures_since_start"))
        .filter(failures__gte=settings.AXES_FAILURE_LIMIT)
        .count()
    )


@transaction.atomic
def unlock(*, username: str | None = None, address: str | None = None, by: User | None = None) -> int:
    """Forget the failures of a user, or from an address; return how many rows there were."""
    if not (username or address):
        return 0
    found: int = AxesProxyHandler.reset_attempts(username=username, ip_address=address)
    if username:
        for factors in (Authenticator.objects, SecurityKey.objects):
            waits = factors.filter(user__username=username)
            waits.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    audit.record("login.unlock", acts.find(username), by=by)
    log.warning("unlocked", rows=found)
    return found


def answer(
    request: HttpRequest, response: HttpResponse | None = None, credentials: Any = None
) -> HttpResponse:
    """Answer whoever is locked out, the same whether the user exists or not."""
    wait_s = settings.GOVPAY_LOCKOUT_S
    headers = {"Retry-After": str(wait_s), "Cache-Control": "no-store"}
    text = f"Too many attempts failed. Try again in {round(wait_s / 60)} minutes, or ask an administrator to unlock you."
    if request.path.startswith("/api/"):
        body = problems.problem(errors.LockedOut.code, 429, text)
        return JsonResponse(body, status=429, headers=headers, content_type=problems.CONTENT_TYPE)
    context = {"text": text, "code": errors.LockedOut.code}
    page = render(request, "login/locked_out.html", context, status=429)
    for name, value in headers.items():
        page.headers[name] = value
    return page
