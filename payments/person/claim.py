"""Where a person claims what waits for them: link and identity number first, then the code and an address."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from govpay.errors import GovPayError, InvalidInput
from payments.onchain import network
from payments.person import words
from payments.person.door import PersonForm, public
from payments.services import claims

_QUIET = {"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}


class BeginForm(PersonForm):
    """The code of the link, and the identity number."""

    secret = forms.CharField(
        label=_("The code on your slip or in your message"),
        max_length=100,
        widget=forms.TextInput(attrs={**_QUIET, "class": "code"}),
    )
    national_id = forms.CharField(
        label=_("Your identity number"), max_length=40, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


class BringForm(BeginForm):
    """The code that came to the telephone, and an address; what was typed before goes along unseen."""

    code = forms.CharField(
        label=_("The six digits that we sent you"),
        max_length=20,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "one-time-code"}),
    )
    address = forms.CharField(
        label=_("Your address"),
        max_length=200,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("secret", "national_id"):
            self.fields[name].widget = forms.HiddenInput()


@public
def claim(request: HttpRequest) -> HttpResponse:
    """Ask who somebody is, then for an address; whatever does not fit together is answered alike (A37)."""
    if request.method != "POST":
        return _show(request, "begin", BeginForm(), 200)
    is_second = "address" in request.POST
    form = BringForm(request.POST) if is_second else BeginForm(request.POST)
    if not form.is_valid():
        return _show(request, "bring" if is_second else "begin", form, 422)
    return _bring(request, form) if is_second else _begin(request, form)


def _begin(request: HttpRequest, form: PersonForm) -> HttpResponse:
    try:
        begun = claims.begin(**form.cleaned_data)
    except GovPayError as error:
        return _refuse(request, form, error)
    return _show(request, "bring", BringForm(initial=form.cleaned_data), 200, begun=begun)


def _bring(request: HttpRequest, form: PersonForm) -> HttpResponse:
    try:
        link = claims.bring(**form.cleaned_data)
    except InvalidInput as error:
        return _show(request, "bring", form, error.http_status, problem=words.of(error))
    except GovPayError as error:
        return _refuse(request, form, error)
    address = form.cleaned_data["address"]
    return _show(request, "done", form, 200, address=address, reference=link.enrollment.reference)


def _refuse(request: HttpRequest, form: PersonForm, error: GovPayError) -> HttpResponse:
    # The code is long to type; it is shown to whoever typed it.
    begin = BeginForm(initial={"secret": form.cleaned_data["secret"]})
    return _show(request, "begin", begin, error.http_status, problem=words.of(error))


def _show(request: HttpRequest, page: str, form: PersonForm, status: int, **context: Any) -> HttpResponse:
    context |= {"form": form, "network": network.current().value}
    return render(request, f"payments/person/claim_{page}.html", context, status=status)
