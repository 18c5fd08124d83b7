"""The page of one's second factors: enroll an authenticator or a security key, name, replace and remove them."""

import json
from collections.abc import Callable
from typing import Any

import django_otp
import segno
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from govpay.errors import GovPayError
from govpay.login import asking, devices, gate, keys, links, provider, stepup


@never_cache
@sensitive_post_parameters("code", "credential")
@require_http_methods(["GET", "POST"])
def second_factor(request: HttpRequest) -> HttpResponse:
    """Enroll a first factor; or, after a fresh code, show what there is and change it."""
    if not asking.is_staff(request):
        return asking.to("admin:login", request.get_full_path())
    user: Any = request.user
    is_first = not devices.has_one(user)
    if not is_first and not stepup.is_fresh(request):
        return gate.to_code(request)
    wanted = request.POST.get("do", request.GET.get("do", ""))
    if wanted == "key" and keys.is_on():
        return _add_key(request, user)
    if is_first or wanted == "replace":
        return _enroll(request, user)
    change = CHANGES.get(wanted) if request.method == "POST" else None
    problems, status = [], 200
    if change is not None:
        try:
            return change(request, user)
        except GovPayError as error:
            problems, status = [asking.problem(error)], error.http_status
    return asking.show(
        request,
        "login/second_factor.html",
        "Second factor",
        status,
        problems=problems,
        has_app=devices.has_app(user),
        left=devices.codes_left(user),
        keys=keys.of(user),
        are_keys_on=keys.is_on(),
        most_name=keys.MOST_NAME,
        provider_name=settings.GOVPAY_OIDC_NAME if provider.is_on() else "",
        link=links.of(user),
    )


def _enroll(request: HttpRequest, user: Any) -> HttpResponse:
    device = devices.begin(user)

    def take(given: str) -> HttpResponse:
        found = devices.confirm(user, given)
        device.refresh_from_db()
        _prove(request, device)
        return _codes(request, found)

    picture = segno.make(devices.address(device), error="m", micro=False)
    return asking.ask(
        request,
        "Enroll a second factor",
        "Enroll",
        take,
        "login/enroll.html",
        qr=picture.svg_inline(scale=5, border=4, dark="#000", light="#fff"),
        secret=devices.secret_text(device),
        are_keys_on=keys.is_on(),
    )


def _add_key(request: HttpRequest, user: Any) -> HttpResponse:
    form = asking.NewKeyForm(request.POST if request.method == "POST" else None)

    def take(cleaned: dict[str, Any]) -> HttpResponse:
        made, codes = keys.add(user, name=cleaned["name"], credential=cleaned["credential"])
        if not codes:
            return HttpResponseRedirect(reverse("second-factor"))
        _prove(request, made)
        return _codes(request, codes)

    response, problems, status = asking.taken(form, request, take)
    if response is not None:
        return response
    return asking.show(
        request,
        "login/add_key.html",
        "Add a security key",
        status,
        form=asking.NewKeyForm(initial={"name": form.data.get("name", "")}),
        problems=problems,
        question=json.dumps(keys.question_for_new(user)),
    )


def _new_codes(request: HttpRequest, user: Any) -> HttpResponse:
    return _codes(request, devices.renew_codes(user))


def _rename_key(request: HttpRequest, user: Any) -> HttpResponse:
    name = request.POST.get("name", "").strip()
    if 0 < len(name) <= keys.MOST_NAME:
        keys.rename(user, security_key_id=_number(request), name=name)
    return HttpResponseRedirect(reverse("second-factor"))


def _remove_key(request: HttpRequest, user: Any) -> HttpResponse:
    keys.remove(user, security_key_id=_number(request))
    return HttpResponseRedirect(reverse("second-factor"))


def _remove_app(request: HttpRequest, user: Any) -> HttpResponse:
    devices.remove_app(user)
    return HttpResponseRedirect(reverse("second-factor"))


def _unlink(request: HttpRequest, user: Any) -> HttpResponse:
    links.remove(user)
    return HttpResponseRedirect(reverse("second-factor"))


CHANGES: dict[str, Callable[[HttpRequest, Any], HttpResponse]] = {
    "codes": _new_codes,
    "rename": _rename_key,
    "remove": _remove_key,
    "remove-app": _remove_app,
    "unlink": _unlink,
}


def _number(request: HttpRequest) -> int:
    """Return the key that a button is of; 0, which none is, for anything else."""
    told = request.POST.get("key", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 19 else 0


def _prove(request: HttpRequest, factor: Any) -> None:
    """Let the session go on, under another key, as one with a second factor."""
    request.session.cycle_key()
    django_otp.login(request, factor)
    stepup.prove_session(request)


def _codes(request: HttpRequest, found: list[str]) -> HttpResponse:
    """Show recovery codes this once."""
    return asking.show(request, "login/recovery_codes.html", "Your recovery codes", codes=found)
