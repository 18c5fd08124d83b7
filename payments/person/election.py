"""Where a person says what they want to be paid in: their numbers first, then the digits and the choice (R-25)."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from payments.models import ElectionChoice, TrustPurse
from payments.person import status
from payments.person.door import public
from payments.services import own_elections


class ChooseForm(status.StatusForm):
    """The digits that came to the telephone, and the choice; what was typed before goes along unseen."""

    choice = forms.TypedChoiceField(
        label=gettext_lazy("What do you want to be paid in?"),
        widget=forms.RadioSelect,
        coerce=lambda value: None if value == ElectionChoice.BITCOIN else int(value),
        empty_value=None,
    )
    code = forms.CharField(
        label=gettext_lazy("The six digits that we sent you"),
        max_length=20,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "one-time-code"}),
    )

    def __init__(self, purses: list[TrustPurse], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("program", "reference", "national_id"):
            self.fields[name].widget = forms.HiddenInput()
        self.fields["choice"].choices = [  # type: ignore[attr-defined]
            (ElectionChoice.BITCOIN, _("Bitcoin, at your own address")),
            *((str(row.pk), in_words(row)) for row in purses),
        ]


@public
def elect(request: HttpRequest) -> HttpResponse:
    """Ask who somebody is, then what they choose; whatever does not fit together is answered alike (A37)."""
    if request.method != "POST":
        return _ask(request, status.StatusForm(), 200)
    form = status.StatusForm(request.POST)
    if not form.is_valid():
        return _ask(request, form, 422)
    if not status.may_ask(form):
        return _ask(request, form, 429, status.too_often())
    return _choose(request, form) if "code" in request.POST else _begin(request, form)


def in_words(purse: TrustPurse) -> str:
    """Return a currency, and who pays it."""
    return _("%(currency)s, from %(trust)s, to your account") % {
        "currency": purse.currency,
        "trust": purse.trust.name,
    }


def _begin(request: HttpRequest, form: status.StatusForm) -> HttpResponse:
    try:
        offer = own_elections.begin(**form.cleaned_data)
    except own_elections.ElectionRefused:
        return _ask(request, form, 404, status.misfit())
    counts = (
        "bitcoin" if offer.elected is None or offer.elected.purse_id is None else str(offer.elected.purse_id)
    )
    bring = ChooseForm(offer.purses, initial=form.cleaned_data | {"choice": counts})
    return _show(request, "choose", 200, form=bring, offer=offer)


def _choose(request: HttpRequest, known: status.StatusForm) -> HttpResponse:
    said = known.cleaned_data
    form = ChooseForm(own_elections.offered(said["program"], timezone.now()), request.POST)
    if not form.is_valid():
        return _show(request, "choose", 422, form=form)
    try:
        made = own_elections.choose(
            **said, code=form.cleaned_data["code"], purse_id=form.cleaned_data["choice"]
        )
    except own_elections.ElectionRefused:
        return _show(
            request, "choose", 404, form=form, problem=_("These are not the digits, or they count no more.")
        )
    assert made.enrollment is not None
    return _show(
        request,
        "done",
        200,
        person=made.enrollment,
        purse=made.purse,
        has_account=made.purse is not None and own_elections.has_account(made.enrollment),
    )


def _ask(request: HttpRequest, form: status.StatusForm, code: int, problem: str = "") -> HttpResponse:
    return _show(request, "begin", code, form=form, problem=problem)


def _show(request: HttpRequest, page: str, code: int, **context: Any) -> HttpResponse:
    return render(request, f"payments/person/election_{page}.html", context, status=code)
