"""The pages of signing in to the admin: the password, the code or security key after it, and a fresh one for an act."""

import time
from typing import Any, cast
from urllib.parse import urlencode

import django_otp
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME, login
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from govpay.login import asking, devices, errors, keys, lockout, provider, stepup
from govpay.login.keys import Purpose
from govpay.said import said

PENDING = "login_waits_for_code"
PENDING_S = 300
# The ID token of whoever signed in by the provider of identities, to sign out there too.
PROVIDER = "provider_id_token"
PASSWORD_BACKEND = "govpay.login.rights.Rights"  # noqa: S105 - a name.


class SignIn(LoginView):
    """The password; whoever has enrolled a second factor is not signed in by it alone."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Sign in, or remember for some minutes that the password was right and ask for the code."""
        user = form.get_user()
        if not devices.has_one(user):
            return super().form_valid(form)
        return wait_for_code(self.request, user, self.get_success_url())


def wait_for_code(request: HttpRequest, user: Any, then: str, *, id_token: str = "") -> HttpResponse:
    """Remember for some minutes who is being signed in, and ask for the second factor."""
    request.session.flush()
    request.session[PENDING] = {"user": user.pk, "at": time.time(), "id_token": id_token}
    return asking.to("login-code", then)


@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    """Show the admin's own login page; as AdminSite.login, with our view behind it."""
    site: Any = admin.site
    if request.method == "GET" and site.has_permission(request):
        return HttpResponseRedirect(reverse("admin:index"))
    context = {
        **site.each_context(request),
        "title": said("Log in"),
        "subtitle": None,
        "app_path": request.get_full_path(),
        "username": request.user.get_username(),
        "provider_name": settings.GOVPAY_OIDC_NAME if provider.is_on() else "",
        "provider_start": f"{reverse('provider-start')}?{urlencode({'next': asking.onward(request)})}",
    }
    if REDIRECT_FIELD_NAME not in request.GET and REDIRECT_FIELD_NAME not in request.POST:
        context[REDIRECT_FIELD_NAME] = reverse("admin:index")
    request.current_app = site.name  # type: ignore[attr-defined]
    view = SignIn.as_view(
        extra_context=context, authentication_form=site.login_form, template_name="login/sign_in.html"
    )
    return cast(HttpResponse, view(request))


@never_cache
@sensitive_post_parameters("code", "credential")
@require_http_methods(["GET", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """Ask for the code or the security key after the password, and sign in with it."""
    user = _pending(request)
    if user is None:
        return asking.to("admin:login", asking.onward(request))

    def take(given: Any) -> HttpResponse:
        try:
            lockout.require(request, user.get_username())
            found: Any = keys.verify_either(user, given, purpose=Purpose.SIGN_IN)
        except (errors.CodeWrong, errors.KeyRefused):
            lockout.count(request, user.get_username())
            raise
        except errors.LockedOut:
            return lockout.answer(request)
        pending = request.session.pop(PENDING)
        user.otp_device = found  # type: ignore[attr-defined]
        login(request, user, backend=PASSWORD_BACKEND)
        if pending.get("id_token"):
            request.session[PROVIDER] = pending["id_token"]
        stepup.prove_session(request)
        return HttpResponseRedirect(asking.onward(request))

    return _ask(request, user, Purpose.SIGN_IN, "Your second factor", "Sign in", take)


@never_cache
@sensitive_post_parameters("code", "credential")
@require_http_methods(["GET", "POST"])
def step_up(request: HttpRequest) -> HttpResponse:
    """Ask somebody who is signed in for a fresh code or their security key, and go on."""
    if not asking.is_staff(request):
        return asking.to("admin:login", asking.onward(request))
    user: Any = request.user
    if not devices.has_one(user):
        return HttpResponseRedirect(reverse("second-factor"))

    def take(given: Any) -> HttpResponse:
        found: Any = keys.verify_either(user, given, purpose=Purpose.STEP_UP)
        django_otp.login(request, found)
        stepup.prove_session(request)
        return HttpResponseRedirect(asking.onward(request))

    return _ask(request, user, Purpose.STEP_UP, "Confirm that it is you", "Go on", take)


def _ask(
    request: HttpRequest, user: Any, purpose: Purpose, title: str, submit: str, take: Any
) -> HttpResponse:
    question = (lambda: keys.question(user, purpose)) if keys.has_one(user) else None
    return asking.ask(request, title, submit, take, question=question)


def _pending(request: HttpRequest) -> User | None:
    """Return whose password was right some minutes ago, and may still sign in."""
    found = request.session.get(PENDING)
    if not found or not 0 <= time.time() - found["at"] < PENDING_S:
        return None
    return User.objects.filter(pk=found["user"], is_active=True, is_staff=True).first()
