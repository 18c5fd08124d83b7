"""Keeps sessions without a second factor out of the admin, and asks for a fresh code before the acts that need one."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from govpay.login import devices, errors, stepup

OPEN = ("login", "logout", "jsi18n")


class SecondFactorGate:
    """Stands before every page of the admin; the API's tokens are judged where they are read."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse = self.get_response(request)
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Return None to let the page answer, or where to go first."""
        match = request.resolver_match
        if match is None or "admin" not in match.app_names or match.url_name in OPEN:
            return None
        user: Any = request.user
        if not user.is_authenticated:
            return None
        if devices.is_required() and not stepup.is_proved(request):
            return (
                to_code(request) if devices.has_one(user) else HttpResponseRedirect(reverse("second-factor"))
            )
        try:
            stepup.require_of_session(request)
        except errors.StepUpNeeded as error:
            if request.method == "POST":
                context = {"error": error, "link": address_of_code(request)}
                return render(request, "login/step_up_needed.html", context, status=error.http_status)
            return to_code(request)
        return None


def to_code(request: HttpRequest) -> HttpResponse:
    """Go where the code is asked for, and from there back."""
    return HttpResponseRedirect(address_of_code(request))


def address_of_code(request: HttpRequest) -> str:
    """Return the address of the page that asks for a code and leads back here."""
    return f"{reverse('step-up')}?{urlencode({'next': request.get_full_path()})}"
