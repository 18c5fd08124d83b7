"""The page of a paying agent: a code is typed, and its money is paid out once."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold import widgets

from govpay.said import said
from payments.admin import pages, scope
from payments.admin.forms import InProgramForm
from payments.models import Role
from payments.prices import currency
from payments.services import vouchers


class CodeForm(InProgramForm):
    """The code, as it stands on the slip."""

    code = forms.CharField(
        max_length=40,
        widget=widgets.UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "characters"}
        ),
        help_text="As it stands on the slip; hyphens and small letters do not matter.",
    )


def is_agent(request: HttpRequest) -> bool:
    """Say whether the user pays vouchers out anywhere."""
    return any(Role.AGENT in held for held in scope.roles(request).values())


def redeem(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Take a voucher's code for its money, and go on with the next."""
    programs = scope.programs_as(request, Role.AGENT)
    if not programs.exists():
        raise PermissionDenied
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        paid = vouchers.redeem(by=by, program_id=cleaned["program"].pk, code=cleaned["code"])
        amount = currency.in_words(paid.amount_minor, paid.currency)
        messages.success(request, said("Pay out {0}. Voucher {1} is redeemed.", amount, paid.pk))
        return HttpResponseRedirect(request.path)

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title="Redeem a voucher",
            form_class=CodeForm,
            form_options={"programs": programs},
            call=call,
            submit="Redeem it",
            back=reverse("admin:index"),
            help_text="Pay out only what the next page says. Five codes that no voucher has close this desk for an hour.",
        ),
    )
