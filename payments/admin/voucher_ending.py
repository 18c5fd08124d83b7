"""The pages on which a voucher is taken back: one person asks, and another decides whether another stands in for it."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets

from govpay.said import said
from payments.admin import cells, pages, scope
from payments.admin.forms import ReasonForm
from payments.models import Voucher
from payments.prices import currency
from payments.services import voucher_cancelling
from payments.states import VOUCHER_LIVE


class DecisionForm(forms.Form):
    """What becomes of what the voucher was to pay."""

    is_replaced = forms.BooleanField(
        label="Another voucher stands in for it",
        required=False,
        widget=widgets.UnfoldBooleanWidget(),
        help_text="Its slip is printed then. Otherwise the payment is void, and another list may pay it.",
    )


def offered(request: HttpRequest, row: Voucher) -> list[str]:
    """Return what the person may do about a voucher that counts: ask, or decide what somebody else asked."""
    if row.status not in VOUCHER_LIVE:
        return []
    if row.cancel_asked_by_id is None:
        return ["ask_to_cancel"] if scope.holds(request, row.program_id, *voucher_cancelling.ASKERS) else []
    is_another = row.cancel_asked_by_id != request.user.pk
    may_decide = is_another and scope.holds(request, row.program_id, *voucher_cancelling.DECIDERS)
    return ["cancel"] if may_decide else []


def ask(model_admin: Any, request: HttpRequest, row: Voucher) -> HttpResponse:
    """Ask for a voucher to be cancelled."""
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        voucher_cancelling.ask(by=by, voucher_id=row.pk, note=cleaned["note"])
        messages.success(
            request, said("Somebody else decides about voucher {0}; until then it counts.", row.pk)
        )
        return HttpResponseRedirect(cells.page_of(row))

    return _page(
        model_admin,
        request,
        row,
        title=f"Ask for voucher {row.pk} to be cancelled",
        form_class=ReasonForm,
        call=call,
        submit="Ask for it",
    )


def decide(model_admin: Any, request: HttpRequest, row: Voucher) -> HttpResponse:
    """Cancel, as a second person, what somebody has asked for."""
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        made = voucher_cancelling.cancel(by=by, voucher_id=row.pk, is_replaced=cleaned["is_replaced"])
        instead = "" if made.pk == row.pk else said("Voucher {0} stands in for it.", made.pk)
        messages.success(request, f"{said('Voucher {0} is cancelled.', row.pk)} {instead}".strip())
        return HttpResponseRedirect(cells.page_of(made))

    return _page(
        model_admin,
        request,
        row,
        title=f"Cancel voucher {row.pk}",
        form_class=DecisionForm,
        call=call,
        submit="Cancel the voucher",
        is_dangerous=True,
    )


def _page(model_admin: Any, request: HttpRequest, row: Voucher, **page: Any) -> HttpResponse:
    if request.method == "GET" and not offered(request, row):
        raise PermissionDenied
    facts = [
        ("Amount", currency.in_words(row.amount_minor, row.currency)),
        ("Status", cells.status_of(row)),
        ("Cancellation", cells.long(row.cancel_note) if row.cancel_asked_by_id else cells.EMPTY),
    ]
    return pages.answer(model_admin, request, pages.Page(back=cells.page_of(row), facts=facts, **page))
