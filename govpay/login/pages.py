"""The pages of signing in to the admin: the password, the code after it, the authenticator, and a fresh code for an act."""

import time
from typing import Any, cast
from urllib.parse import urlencode

import django_otp
import segno
from django import forms
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME, login
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods
from unfold import widgets

from govpay.errors import GovPayError
from govpay.login import devices, errors, gate, lockout, stepup

PENDING = "login_waits_for_code"
PENDING_S = 300
PASSWORD_BACKEND = "django.contrib.auth.backends.ModelBackend"  # noqa: S105 - a name.


class CodeForm(forms.Form):
    """Six digits, or a recovery code."""

    code = forms.CharField(
        max_length=40,
        widget=widgets.UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false"}
        ),
    )


class SignIn(LoginView):
    """The password; whoever has enrolled a second factor is not signed in by it alone."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Sign in, or remember for some minutes that the password was right and ask for the code."""
        user = form.get_user()
        if not devices.has_one(user):
            return super().form_valid(form)
        self.request.session.flush()
        self.request.session[PENDING] = {"user": user.pk, "at": time.time()}
        return _to("login-code", self.get_success_url())


@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    """Show the admin's own login page; as AdminSite.login, with our view behind it."""
    site: Any = admin.site
    if request.method == "GET" and site.has_permission(request):
        return HttpResponseRedirect(reverse("admin:index"))
    context = {
        **site.each_context(request),
        "title": "Log in",
        "subtitle": None,
        "app_path": request.get_full_path(),
        "username": request.user.get_username(),
    }
    if REDIRECT_FIELD_NAME not in request.GET and REDIRECT_FIELD_NAME not in request.POST:
        context[REDIRECT_FIELD_NAME] = reverse("admin:index")
    request.current_app = site.name  # type: ignore[attr-defined]
    view = SignIn.as_view(
        extra_context=context, authentication_form=site.login_form, template_name="admin/login.html"
    )
    return cast(HttpResponse, view(request))


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """Ask for the code after the password, and sign in with it."""
    user = _pending(request)
    if user is None:
        return _to("admin:login", _next(request))

    def take(given: str) -> HttpResponse:
        try:
            lockout.require(request, user.get_username())
            found: Any = devices.verify(user, given)
        except errors.CodeWrong:
            lockout.count(request, user.get_username())
            raise
        except errors.LockedOut:
            return lockout.answer(request)
        del request.session[PENDING]
        user.otp_device = found  # type: ignore[attr-defined]
        login(request, user, backend=PASSWORD_BACKEND)
        stepup.prove_session(request)
        return HttpResponseRedirect(_next(request))

    return _ask(request, "Code of your authenticator", "Sign in", take)


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def step_up(request: HttpRequest) -> HttpResponse:
    """Ask somebody who is signed in for a fresh code, and go on."""
    if not _is_staff(request):
        return _to("admin:login", _next(request))
    user: Any = request.user
    if not devices.has_one(user):
        return HttpResponseRedirect(reverse("second-factor"))

    def take(given: str) -> HttpResponse:
        _take_fresh(request, given)
        return HttpResponseRedirect(_next(request))

    return _ask(request, "Confirm that it is you", "Go on", take)


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def second_factor(request: HttpRequest) -> HttpResponse:
    """Enroll an authenticator, replace it, or make new recovery codes."""
    if not _is_staff(request):
        return _to("admin:login", request.get_full_path())
    user: Any = request.user
    is_first = not devices.has_one(user)
    if not is_first and not stepup.is_fresh(request):
        return gate.to_code(request)
    wanted = request.POST.get("do", request.GET.get("do", ""))
    if request.method == "POST" and wanted == "codes" and not is_first:
        return _codes(request, devices.renew_codes(user))
    if is_first or wanted == "replace":
        return _enroll(request, user)
    return _show(request, "login/second_factor.html", "Second factor", left=devices.codes_left(user))


def _enroll(request: HttpRequest, user: Any) -> HttpResponse:
    device = devices.begin(user)

    def take(given: str) -> HttpResponse:
        found = devices.confirm(user, given)
        request.session.cycle_key()
        device.refresh_from_db()
        django_otp.login(request, device)
        stepup.prove_session(request)
        return _codes(request, found)

    picture = segno.make(devices.address(device), error="m", micro=False)
    return _ask(
        request,
        "Enroll a second factor",
        "Enroll",
        take,
        "login/enroll.html",
        qr=picture.svg_inline(scale=5, border=4, dark="#000", light="#fff"),
        secret=devices.secret_text(device),
    )


def _take_fresh(request: HttpRequest, given: str) -> None:
    user: Any = request.user
    device: Any = devices.verify(user, given)
    django_otp.login(request, device)
    stepup.prove_session(request)


def _codes(request: HttpRequest, found: list[str]) -> HttpResponse:
    """Show recovery codes this once."""
    return _show(request, "login/recovery_codes.html", "Your recovery codes", codes=found)


def _ask(
    request: HttpRequest, title: str, submit: str, take: Any, template: str = "login/code.html", **more: Any
) -> HttpResponse:
    """Show the form for a code, or take the code; what is wrong with it is said above the form."""
    form = CodeForm(request.POST if request.method == "POST" else None)
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            response: HttpResponse = take(form.cleaned_data["code"])
        except GovPayError as error:
            form.add_error(None, f"{error.message} ({error.code})")
            status = error.http_status
        else:
            return response
    # A code that was refused is not shown again.
    shown = CodeForm(initial={})
    return _show(
        request, template, title, status, form=shown, problems=form.non_field_errors(), submit=submit, **more
    )


def _show(request: HttpRequest, template: str, title: str, status: int = 200, **more: Any) -> HttpResponse:
    context = {
        "title": title,
        "site_title": admin.site.site_title,
        "app_path": request.get_full_path(),
        **more,
    }
    return TemplateResponse(request, template, context, status=status)


def _pending(request: HttpRequest) -> User | None:
    """Return whose password was right some minutes ago, and may still sign in."""
    found = request.session.get(PENDING)
    if not found or not 0 <= time.time() - found["at"] < PENDING_S:
        return None
    return User.objects.filter(pk=found["user"], is_active=True, is_staff=True).first()


def _is_staff(request: HttpRequest) -> bool:
    user: Any = request.user
    return bool(user.is_active and user.is_staff)


def _next(request: HttpRequest) -> str:
    """Return where to go on, on this site only."""
    found = request.GET.get(REDIRECT_FIELD_NAME, "")
    is_ours = url_has_allowed_host_and_scheme(
        found, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return found if found and is_ours else reverse("admin:index")


def _to(name: str, then: str) -> HttpResponse:
    return HttpResponseRedirect(f"{reverse(name)}?{urlencode({REDIRECT_FIELD_NAME: then})}")
