"""The pages on which prices are set and kept: rules and sources proposed, prices given by hand, breakers closed."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets

from govpay.said import said
from payments.admin import cells, pages
from payments.admin.forms import AgreeForm, ReasonForm
from payments.models import ManualPrice, PriceBreaker, PriceRule, PriceSource, SourceKind
from payments.models.price import LEAST_SOURCES, MOST_BPS, MOST_FRESH_S, MOST_QUOTE_S, MOST_SOURCES
from payments.prices import currency, formats, reading
from payments.services import price_rules, prices, proposals

NEXT = "Another security administrator confirms it."
TEXT: dict[str, Any] = {"attrs": {"autocomplete": "off", "spellcheck": "false"}}
# Nothing is chosen from the start: what comes first in a list is nobody's currency.
NOTHING = ("", "Choose one")
CURRENCIES = [NOTHING, *((code, code) for code in sorted(currency.SCALES))]
KINDS = [NOTHING, *SourceKind.choices]
USUAL = ", ".join(
    f"{SourceKind(kind).label}: {found.usual_address}"
    for kind, found in formats.FORMATS.items()
    if found.usual_address
)


LABELS = {
    "is_on": "Its sources are asked, and it is quoted",
    "least_sources": "Sources that must agree",
    "spread_bps": "From the median, at most (1/10,000)",
    "jump_bps": "From the last accepted price, at most (1/10,000)",
    "quote_s": "A quote holds (seconds)",
    "source_id": "Source",
    "fresh_s": "Stale after (seconds)",
    "is_ended": "It is ended for good",
}


def _whole(name: str, least: int, most: int, help_text: str = "") -> forms.IntegerField:
    return forms.IntegerField(
        label=LABELS[name],
        min_value=least,
        max_value=most,
        help_text=help_text,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
    )


def _price(label: str, help_text: str = "Major units a bitcoin, plain digits.") -> forms.CharField:
    return forms.CharField(
        label=label, max_length=40, help_text=help_text, widget=widgets.UnfoldAdminTextInputWidget(**TEXT)
    )


class RuleForm(ReasonForm):
    """How a price is made in a currency."""

    is_on = forms.BooleanField(label=LABELS["is_on"], required=False, widget=widgets.UnfoldBooleanWidget)
    least_sources = _whole("least_sources", LEAST_SOURCES, MOST_SOURCES)
    spread_bps = _whole("spread_bps", 1, MOST_BPS, "200 are 2 %.")
    jump_bps = _whole("jump_bps", 1, MOST_BPS, "1000 are 10 %.")
    floor = _price("Floor")
    ceiling = _price("Ceiling")
    quote_s = _whole("quote_s", 10, MOST_QUOTE_S)

    field_order = ("currency", *price_rules.OF_RULE, "note")


class NewRuleForm(RuleForm):
    """The rule of a currency that has none."""

    currency = forms.ChoiceField(choices=CURRENCIES, widget=widgets.UnfoldAdminSelectWidget)


class SourceForm(ReasonForm):
    """Who is asked, and how old what they say may be."""

    name = forms.CharField(max_length=60, widget=widgets.UnfoldAdminTextInputWidget(**TEXT))
    address = forms.CharField(
        max_length=300,
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget(**TEXT),
        help_text=f"https and a host; the kind adds the path. {USUAL}. Of a file its name; of two people nothing.",
    )
    fresh_s = _whole("fresh_s", 10, MOST_FRESH_S)

    field_order = ("currency", "kind", "name", "address", "fresh_s", "is_ended", "note")


class NewSourceForm(SourceForm):
    """A new source."""

    currency = forms.ChoiceField(choices=CURRENCIES, widget=widgets.UnfoldAdminSelectWidget)
    kind = forms.ChoiceField(choices=KINDS, widget=widgets.UnfoldAdminSelectWidget)


class OldSourceForm(SourceForm):
    """A source that there is; its currency and kind stay."""

    is_ended = forms.BooleanField(
        label=LABELS["is_ended"], required=False, widget=widgets.UnfoldBooleanWidget
    )


class PriceForm(ReasonForm):
    """A price, and where it comes from."""

    price = _price("Price of a bitcoin")

    field_order = ("price", "note")


class SeenForm(AgreeForm):
    """The price that was on the page."""

    price = forms.CharField(max_length=40, required=False, widget=forms.HiddenInput)


def of_source(request: HttpRequest, row: PriceSource, is_setter: bool) -> list[str]:
    """Return the names of the buttons on a source's page."""
    gives = row.kind == SourceKind.MANUAL and prices.may_keep(_user(request))
    return (["give"] if gives else []) + (["change_source"] if is_setter else [])


def of_manual_price(request: HttpRequest, row: ManualPrice) -> list[str]:
    """Return the names of the buttons on a manual price's page."""
    if row.state == "withdrawn" or not prices.may_keep(_user(request)):
        return []
    may_confirm = row.state == "given" and row.given_by_id != request.user.pk
    return [*(["confirm"] if may_confirm else []), "withdraw"]


def of_breaker(request: HttpRequest, row: PriceBreaker) -> list[str]:
    """Return the names of the buttons on a breaker's page."""
    if not row.is_open or not prices.may_keep(_user(request)):
        return []
    may_confirm = row.close_price is not None and row.asked_by_id != request.user.pk
    return [*(["confirm"] if may_confirm else []), "close"]


def propose_rule(model_admin: Any, request: HttpRequest, row: PriceRule | None = None) -> HttpResponse:
    """Ask for the rule of a currency, or for changes of one."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        known = {} if row is None else {"currency": row.currency}
        made = proposals.propose_price_rule(by=_user(request), **cleaned, **known)
        messages.success(request, said("{0} waits for another security administrator.", made))
        return HttpResponseRedirect(cells.page_of(made))

    initial = {} if row is None else {name: getattr(row, name) for name in price_rules.OF_RULE}
    initial |= {name: reading.text_of(initial[name]) for name in price_rules.PRICES if name in initial}
    page = pages.Page(
        title=said("Propose another rule in {0}", row.currency)
        if row
        else "Propose how a price is made in a currency",
        form_class=RuleForm if row else NewRuleForm,
        call=call,
        submit="Propose",
        back=cells.page_of(row) if row else cells.list_of(PriceRule),
        initial=initial or {"is_on": True},
        help_text=NEXT,
    )
    return pages.answer(model_admin, request, page)


def propose_source(model_admin: Any, request: HttpRequest, row: PriceSource | None = None) -> HttpResponse:
    """Ask for a source, or for another address, name or limit of one, or its end."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        made = proposals.propose_price_source(
            by=_user(request), source_id=None if row is None else row.pk, **cleaned
        )
        messages.success(request, said("{0} waits for another security administrator.", made))
        return HttpResponseRedirect(cells.page_of(made))

    initial = {} if row is None else {name: getattr(row, name) for name in ("name", "address", "fresh_s")}
    page = pages.Page(
        title=said("Propose changes of {0}", row) if row else "Propose a source of prices",
        form_class=OldSourceForm if row else NewSourceForm,
        call=call,
        submit="Propose",
        back=cells.page_of(row) if row else cells.list_of(PriceRule),
        initial=initial,
        help_text=f"{NEXT} At another address it has said nothing yet." if row else NEXT,
    )
    return pages.answer(model_admin, request, page)


def give(model_admin: Any, request: HttpRequest, row: PriceSource) -> HttpResponse:
    """Give a price by hand."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        made = prices.give(by=_user(request), source_id=row.pk, **cleaned)
        messages.success(request, "The price waits for another treasurer.")
        return HttpResponseRedirect(cells.page_of(made))

    page = pages.Page(
        title=said("Give a price in {0}", row.currency),
        form_class=PriceForm,
        call=call,
        submit="Give it",
        back=cells.page_of(row),
        help_text="It is as of now. Another treasurer confirms it, and then it is one source among the others.",
    )
    return pages.answer(model_admin, request, page)


def confirm(model_admin: Any, request: HttpRequest, row: ManualPrice) -> HttpResponse:
    """Stand for a price as a second person."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        prices.confirm(by=_user(request), manual_price_id=row.pk, **cleaned)
        messages.success(request, "The price counts from now on.")
        return HttpResponseRedirect(cells.page_of(row))

    page = pages.Page(
        title=said("Confirm a price in {0}", row.source.currency),
        form_class=SeenForm,
        call=call,
        submit="Confirm it",
        back=cells.page_of(row),
        initial={"price": reading.text_of(row.price)},
        facts=[
            ("Price", reading.grouped(row.price, row.source.currency)),
            ("Where it comes from", cells.long(row.note)),
            ("Given by", cells.join(cells.person(row.given_by), cells.moment(row.given_at))),
        ],
        help_text="Compare it with where it comes from first.",
    )
    return pages.answer(model_admin, request, page)


def withdraw(model_admin: Any, request: HttpRequest, row: ManualPrice) -> HttpResponse:
    """Let a price count no more."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        prices.withdraw(by=_user(request), manual_price_id=row.pk, **cleaned)
        messages.success(request, "The price counts no more.")
        return HttpResponseRedirect(cells.page_of(row))

    page = pages.Page(
        title="Withdraw a price",
        form_class=ReasonForm,
        call=call,
        submit="Withdraw it",
        back=cells.page_of(row),
        is_dangerous=True,
        facts=[("Price", reading.grouped(row.price, row.source.currency))],
    )
    return pages.answer(model_admin, request, page)


def ask_to_close(model_admin: Any, request: HttpRequest, row: PriceBreaker) -> HttpResponse:
    """Name the price at which a breaker should be closed."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        prices.ask_to_close(by=_user(request), breaker_id=row.pk, **cleaned)
        messages.success(request, "Another treasurer closes it.")
        return HttpResponseRedirect(cells.page_of(row))

    page = pages.Page(
        title=said("Ask to close {0}", row),
        form_class=PriceForm,
        call=call,
        submit="Ask",
        back=cells.page_of(row),
        facts=_jump(row),
        help_text="From this price jumps are measured once it is closed. Where the sources say another, it opens anew.",
    )
    return pages.answer(model_admin, request, page)


def close(model_admin: Any, request: HttpRequest, row: PriceBreaker) -> HttpResponse:
    """Close a breaker as a second person."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        prices.close(by=_user(request), breaker_id=row.pk, **cleaned)
        messages.success(request, "The breaker is closed; its sources are asked at once.")
        return HttpResponseRedirect(cells.page_of(row))

    page = pages.Page(
        title=said("Close {0}", row),
        form_class=SeenForm,
        call=call,
        submit="Close it",
        back=cells.page_of(row),
        initial={"price": reading.text_of(row.close_price)},
        facts=[
            *_jump(row),
            ("Goes on from", reading.grouped(row.close_price, row.rule.currency)),
            ("Reason", cells.long(row.close_note)),
            ("Asked by", cells.join(cells.person(row.asked_by), cells.moment(row.asked_at))),
        ],
        help_text="Quotes are taken again, and jumps are measured from this price.",
    )
    return pages.answer(model_admin, request, page)


def _jump(row: PriceBreaker) -> list[tuple[str, Any]]:
    moved = said(
        "{0} to {1}", reading.grouped(row.from_price), reading.grouped(row.to_price, row.rule.currency)
    )
    return [("Jumped", moved), ("Opened", cells.moment(row.opened_at))]


def _user(request: HttpRequest) -> Any:
    return request.user
