"""What people see before they decide on money: approvers what it would be now, releasers a quote and what it makes."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from govpay.said import said
from payments.admin import cells, forms, pages, prices, verbs
from payments.admin.base import is_number
from payments.admin.tables import Notice, Table
from payments.models import Disbursement, Quote, Rail
from payments.prices import currency as currencies
from payments.selectors import estimates
from payments.services import conversions


def quote(model_admin: Any, request: HttpRequest, row: Disbursement) -> HttpResponse:
    """Take a quote for the list, and go on to its release with that."""
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        found = conversions.preview(by=by, disbursement_id=row.pk)
        address = reverse("admin:payments_disbursement_release", args=[row.pk])
        return HttpResponseRedirect(f"{address}?quote={found.quote.pk}")

    if request.method == "GET" and not is_offered(request, row):
        return HttpResponseRedirect(cells.page_of(row))
    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"Take a quote for list {row.pk}",
            form_class=forms.AgreeForm,
            call=call,
            submit="Take a quote",
            back=cells.page_of(row),
            facts=[("Total", cells.money(row.total, row.program))],
            help_text="The list is converted by a price that holds for minutes; you see what it makes before releasing.",
        ),
    )


def is_offered(request: HttpRequest, row: Disbursement) -> bool:
    """Say whether the person may release the list, and something of it is converted then."""
    return "release" in verbs.of_disbursement(request, row) and conversions.is_needed(row)


def chosen(request: HttpRequest, row: Disbursement) -> Quote | None:
    """Return the quote that the page was opened with, if it is of the list's currency."""
    given = request.POST.get("quote_id") or request.GET.get("quote", "")
    if not is_number(given) or not conversions.is_needed(row):
        return None
    return Quote.objects.filter(pk=int(given), currency=row.program.currency).first()


def facts(row: Disbursement, found: Quote | None) -> list[tuple[str, Any]]:
    """Say what the list is by a quote; nothing of satoshis."""
    if found is None:
        return []
    made = conversions.figures(row, found)
    return [
        ("Quote", cells.link(found, f"Quote {found.pk}")),
        ("Price of a bitcoin", prices.number(found.price, found.currency)),
        ("Holds until", cells.moment(found.expires_at)),
        ("In satoshis", cells.sat(made.amount_sat)),
        ("Remainders in all", cells.figure(currencies.in_words(made.remainder_minor, found.currency))),
    ]


def estimate(row: Disbursement, at: datetime) -> list[tuple[str, Any]]:
    """Say what a list of money would be at the price now, which binds nobody; nothing where nothing will be converted."""
    if row.program.pays_sat or row.rail != Rail.BITCOIN or row.quote_id is not None:
        return []
    found = estimates.of_list(row, at=at)
    if found.amount_sat is None or found.price is None or found.price_age_s is None:
        return [
            ("In satoshis, about", cells.join(cells.label("no price", tone=cells.INFO), said(found.message)))
        ]
    price = prices.number(found.price, found.currency)
    return [
        (
            "In satoshis, about",
            cells.join(cells.sat(found.amount_sat), cells.label("not binding", tone=cells.INFO)),
        ),
        (
            "Price of a bitcoin now",
            cells.join(price, said("{0} old; the release takes a quote of its own", _age(found.price_age_s))),
        ),
    ]


def _age(seconds: int) -> str:
    """Write how old a price is."""
    return f"{seconds} s" if seconds < 120 else said("{0} min", seconds // 60)


def notices(row: Disbursement, found: Quote | None) -> list[Notice]:
    """Say what stands against releasing money."""
    if not conversions.is_needed(row):
        return []
    if found is None:
        return [
            Notice("Take a quote on the list's page first, and release it with that.", cells.BAD, "No quote")
        ]
    if found.is_expired(timezone.now()):
        return [Notice("Take another one on the list's page.", cells.BAD, "The quote does not hold any more")]
    return []


def table(row: Disbursement) -> list[Table]:
    """Show by what a released list of money was converted; nothing before, and nothing of satoshis."""
    found = conversions.of_list(row)
    if row.quote is None or found is None:
        return []
    code = row.quote.currency
    shown = (
        cells.link(row.quote, f"Quote {row.quote.pk}"),
        prices.number(row.quote.price, code),
        cells.figure(currencies.in_words(found.amount_minor, code)),
        cells.sat(found.amount_sat),
        cells.figure(currencies.in_words(found.remainder_minor, code)),
    )
    headers = ("Quote", "Price of a bitcoin", "Converted", "In satoshis", "Remainders in all")
    return [Table("Conversion", headers, [shown])]
