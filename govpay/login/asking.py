"""What the pages of signing in share: the form for a code or a security key, and where to go on."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from unfold import widgets

from govpay.errors import GovPayError
from govpay.login import keys
from govpay.said import said, say_form

# A key's answer is some hundred bytes; a certificate may come with a new one.
MOST_ANSWER = 20_000


class CodeForm(forms.Form):
    """Six digits, or a recovery code."""

    code = forms.CharField(
        max_length=40,
        widget=widgets.UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false"}
        ),
    )


class AnswerForm(forms.Form):
    """What a security key answered, as the script on the page wrote it."""

    credential = forms.CharField(max_length=MOST_ANSWER, widget=forms.HiddenInput)

    def clean_credential(self) -> dict[str, Any]:
        """Return the JSON object."""
        try:
            found = json.loads(self.cleaned_data["credential"])
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise forms.ValidationError("The browser sent no answer of a key.", code="malformed")
        return found


class NewKeyForm(AnswerForm):
    """A new key's answer, and what the key is called."""

    name = forms.CharField(
        max_length=keys.MOST_NAME,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"autofocus": True, "autocomplete": "off"}),
    )


def ask(
    request: HttpRequest,
    title: str,
    submit: str,
    take: Callable[[Any], HttpResponse],
    template: str = "login/code.html",
    *,
    question: Callable[[], dict[str, Any]] | None = None,
    **more: Any,
) -> HttpResponse:
    """Show the form for a code, and the button for a security key where there is a question for one; or take the answer.

    ``take`` gets the code as text or the key's answer as a dict; what is wrong with it is said above the form.
    """
    form_class = AnswerForm if question is not None and "credential" in request.POST else CodeForm
    form = form_class(request.POST if request.method == "POST" else None)
    response, problems, status = taken(form, request, lambda cleaned: take(next(iter(cleaned.values()))))
    if response is not None:
        return response
    # A code that was refused is not shown again, and a question that was answered is not asked again.
    asked = json.dumps(question()) if question is not None else ""
    shown = CodeForm(initial={})
    return show(
        request, template, title, status, form=shown, problems=problems, label=submit, question=asked, **more
    )


def taken(
    form: forms.Form, request: HttpRequest, take: Callable[[dict[str, Any]], HttpResponse]
) -> tuple[HttpResponse | None, list[str], int]:
    """Return what ``take`` answers to a form that was sent whole, or else what is wrong with it, and the status."""
    if request.method != "POST":
        return None, [], 200
    if not form.is_valid():
        return None, [str(text) for texts in form.errors.values() for text in texts], 200
    try:
        return take(form.cleaned_data), [], 200
    except GovPayError as error:
        return None, [problem(error)], error.http_status


def problem(error: GovPayError) -> str:
    """Return what is wrong in the reader's language, and its code in nobody's."""
    return f"{said(error.message)} ({error.code})"


def show(request: HttpRequest, template: str, title: str, status: int = 200, **more: Any) -> HttpResponse:
    """Show a page of signing in, in the theme's colors."""
    # The theme puts its colors, styles and names there.
    theme = admin.site.each_context(request)
    if isinstance(form := more.get("form"), forms.Form):
        say_form(form)
    context = {**theme, "title": said(title), "app_path": request.get_full_path(), **more}
    return TemplateResponse(request, template, context, status=status)


def is_staff(request: HttpRequest) -> bool:
    """Say whether somebody is signed in who may be in the admin."""
    user: Any = request.user
    return bool(user.is_active and user.is_staff)


def onward(request: HttpRequest) -> str:
    """Return where to go on, on this site only."""
    found = request.GET.get(REDIRECT_FIELD_NAME, "")
    is_ours = url_has_allowed_host_and_scheme(
        found, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return found if found and is_ours else reverse("admin:index")


def to(name: str, then: str) -> HttpResponse:
    """Go to a page, and from there on."""
    return HttpResponseRedirect(f"{reverse(name)}?{urlencode({REDIRECT_FIELD_NAME: then})}")
