"""The pages of single sign-on: there and back again, linking one's account, and signing out."""

import time
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from govpay.errors import GovPayError
from govpay.login import asking, devices, errors, gate, links, lockout, pages, provider, stepup

ASKED, WAITS = "provider_asked", "provider_waits_for_link"
ASKED_S = 600
SIGN_IN, LINK = "sign_in", "link"


@never_cache
@require_GET
def start(request: HttpRequest) -> HttpResponse:
    """Send the browser to the provider, to sign in; or, signed in and with a fresh proof, to link an account."""
    _require_on()
    do = LINK if request.GET.get("do") == LINK else SIGN_IN
    if do == LINK:
        if not asking.is_staff(request):
            return asking.to("admin:login", request.get_full_path())
        if stepup.needs_one(request.user) and not stepup.is_fresh(request):
            return gate.to_code(request)
    question = provider.new_question()
    try:
        where = provider.address(question, back=_back())
    except GovPayError as error:
        return _problem(request, error)
    kept = {"do": do, "then": asking.onward(request), "at": time.time()}
    request.session[ASKED] = asdict(question) | kept
    return HttpResponseRedirect(where)


@never_cache
@require_GET
def back(request: HttpRequest) -> HttpResponse:
    """Take what the provider answers, once; sign in whoever is linked, or ask whether to link."""
    _require_on()
    try:
        asked = _take_asked(request)
        person = provider.answer(
            provider.Question(*(asked[name] for name in ("state", "nonce", "verifier"))),
            code=request.GET["code"],
            back=_back(),
        )
        if asked["do"] == LINK:
            request.session[WAITS] = {"issuer": person.issuer, "subject": person.subject, "at": time.time()}
            return HttpResponseRedirect(reverse("provider-link"))
        return _sign_in(request, person, asked["then"])
    except GovPayError as error:
        return _problem(request, error)


@never_cache
@require_http_methods(["GET", "POST"])
def link(request: HttpRequest) -> HttpResponse:
    """Ask whether the account that came back is one's own, and link it."""
    _require_on()
    user: Any = request.user
    waits = request.session.get(WAITS)
    if not asking.is_staff(request) or not waits or not 0 <= time.time() - waits["at"] < ASKED_S:
        return HttpResponseRedirect(reverse("second-factor"))
    if stepup.needs_one(user) and not stepup.is_fresh(request):
        return gate.to_code(request)
    if request.method == "POST":
        del request.session[WAITS]
        try:
            links.add(user, issuer=waits["issuer"], subject=waits["subject"])
        except GovPayError as error:
            return _problem(request, error)
        return HttpResponseRedirect(reverse("second-factor"))
    return asking.show(request, "login/provider_link.html", "Link an account", user=user, **waits)


@never_cache
def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out as the admin does, and offer to sign out of the provider too."""
    id_token = request.session.get(pages.PROVIDER, "") if provider.is_on() else ""
    response: HttpResponse = admin.site.logout(request)
    if not id_token or request.method != "POST":
        return response
    # A link, because the content policy lets no form lead to another site.
    where = provider.address_of_signing_out(id_token)
    return (
        asking.show(request, "login/provider_signed_out.html", "Signed out", where=where)
        if where
        else response
    )


def _take_asked(request: HttpRequest) -> dict[str, Any]:
    """Return what this browser asked, once; raise ProviderRefused where the answer is to something else, or is none."""
    asked: dict[str, Any] | None = request.session.pop(ASKED, None)
    told = request.GET
    if not asked or not 0 <= time.time() - asked["at"] < ASKED_S or told.get("state") != asked["state"]:
        raise errors.ProviderRefused("This browser asked nothing of the provider, or too long ago.")
    # RFC 9207: an answer of another provider is none of this one's.
    if told.get("iss", settings.GOVPAY_OIDC_ISSUER) != settings.GOVPAY_OIDC_ISSUER:
        raise errors.ProviderRefused("Another provider answered.")
    if "error" in told or not told.get("code"):
        raise errors.ProviderRefused("The provider did not let you in.")
    return asked


def _sign_in(request: HttpRequest, person: provider.Person, then: str) -> HttpResponse:
    user = links.user_of(person)
    try:
        lockout.require(request, user.get_username())
    except errors.LockedOut:
        return lockout.answer(request)
    if devices.has_one(user) and not person.has_second_factor:
        return pages.wait_for_code(request, user, then, id_token=person.id_token)
    login(request, user, backend=pages.PASSWORD_BACKEND)
    request.session[pages.PROVIDER] = person.id_token
    if person.has_second_factor:
        stepup.trust_provider(request)
    return HttpResponseRedirect(then)


def _require_on() -> None:
    if not provider.is_on():
        raise Http404


def _back() -> str:
    """Return where the provider sends people back to: as settings say, never as a request does."""
    return f"{settings.GOVPAY_ORIGIN}{reverse('provider-back')}"


def _problem(request: HttpRequest, error: GovPayError) -> HttpResponse:
    """Say what is wrong. What the provider sent is not said again, in no language either."""
    return asking.show(
        request,
        "login/provider_problem.html",
        "Single sign-on",
        error.http_status,
        problems=[asking.problem(error)],
        language_next=reverse("admin:login"),
    )
