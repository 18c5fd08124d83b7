"""Prices in the admin: what is believed in each currency, every source with what it said last, and the quotes."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from payments.admin import cells, price_pages, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.tables import Notice, Table
from payments.models import PriceRule, PriceSource, Quote, Role
from payments.prices import reading
from payments.selectors import prices as selector

LAST = 10
# What a quote keeps of the rule, in this order.
THEN = {name: price_pages.LABELS[name] for name in ("least_sources", "spread_bps", "jump_bps")} | {
    "floor": "Floor",
    "ceiling": "Ceiling",
    "accepted_price": "Last accepted price",
    "accepted_at": "Accepted",
    "proposal": "Set by proposal",
}


class OfPrices(ProgramScopedAdmin):
    """Rows that concern all programs: whoever reads one, or sets rules of one, reads them all."""

    also = (Role.SECURITY,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return all rows to whoever may look."""
        rows = self.model._default_manager.order_by("-pk")
        return rows if scope.may_look(request, *self.also) else rows.none()


def number(value: Decimal | str | None, currency: str = "") -> str:
    """Write a price grouped by thousands, with its currency."""
    if value is None:
        return cells.EMPTY
    return cells.figure(reading.grouped(value, currency))


def percent(bps: int) -> str:
    """Write hundredths of a percent as percent."""
    return cells.figure(f"{Decimal(bps) / 100:f} %")


def is_setter(request: HttpRequest) -> bool:
    """Say whether the user proposes rules and sources: a security administrator of any program."""
    return any(Role.SECURITY in held for held in scope.roles(request).values())


@admin.register(PriceRule)
class PriceRuleAdmin(OfPrices):
    """The currencies whose prices are made."""

    list_display = ("name", "state", "accepted", "accepted_moment", "checked", "bounds")
    when_empty = "No price is made in any currency. Security administrators propose how."
    actions_list = ("propose_rule", "propose_source")
    actions_detail = ("change_rule",)
    fieldsets = (
        (None, {"fields": ("state", "accepted", "accepted_moment", "checked")}),
        ("Rule", {"fields": ("least", "spread", "jump", "bounds", "holds", "set_by")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceRule]:
        """Return the rules with where they stand."""
        return super().get_queryset(request).select_related("status", "proposal")

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer new rules and sources to those who set them."""
        names = self.actions_list if is_setter(request) else ()
        return [self.get_unfold_action(name) for name in names]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer changes to those who set rules."""
        return [self.get_unfold_action("change_rule")] if is_setter(request) else []

    @action(
        description="Propose a currency", url_path="propose-rule", icon="add", variant=ActionVariant.PRIMARY
    )
    def propose_rule(self, request: HttpRequest) -> HttpResponse:
        """Ask for a rule of a currency that has none."""
        return price_pages.propose_rule(self, request)

    @action(description="Propose a source", url_path="propose-source", icon="add_link")
    def propose_source(self, request: HttpRequest) -> HttpResponse:
        """Ask for another source."""
        return price_pages.propose_source(self, request)

    @action(description="Propose changes", url_path="change-rule", icon="tune")
    def change_rule(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for another rule of the currency."""
        return price_pages.propose_rule(self, request, self.get_row(request, object_id))

    def notices(self, request: HttpRequest, obj: PriceRule) -> list[Notice]:
        """Say what stands against a price now."""
        (board,) = selector.boards([obj], at=timezone.now())
        rule, message = board.standing.against
        if not rule:
            return []
        found = board.standing.breaker
        text = cells.join(message, cells.link(found, "Open the breaker")) if found else message
        return [Notice(text, cells.BAD, "Nothing is quoted")]

    def tables(self, request: HttpRequest, obj: PriceRule) -> list[Table]:
        """Show every source with what it said last, and the last quotes."""
        (board,) = selector.boards([obj], at=timezone.now())
        quoted = Quote.objects.filter(currency=obj.currency).order_by("-pk")[:LAST]
        return [
            Table(
                "Sources",
                ("Source", "Says", "As of", "Used", "Last problem"),
                [_source(line, obj.currency) for line in board.lines],
                "Nobody is asked yet.",
            ),
            Table(
                "Last quotes",
                ("Quote", "Price", "Taken", "Held until"),
                [
                    (
                        cells.link(row, f"Quote {row.pk}"),
                        number(row.price, row.currency),
                        cells.moment(row.taken_at),
                        cells.moment(row.expires_at),
                    )
                    for row in quoted
                ],
                "None was taken yet.",
                cells.list_of(Quote, currency=obj.currency),
            ),
        ]

    @display(description="currency")
    def name(self, row: PriceRule) -> str:
        """Which currency."""
        return row.currency

    @display(description="state")
    def state(self, row: PriceRule) -> str:
        """Whether there was a price at the last look."""
        if not row.is_on:
            return cells.label("", "switched off")
        if row.status.checked_at is None:
            return cells.label("", "not looked at yet", cells.BUSY)
        broken = row.status.broken_rule
        return cells.label("", broken.replace("_", " ") or "a price", cells.BAD if broken else cells.GOOD)

    @display(description="last accepted price")
    def accepted(self, row: PriceRule) -> str:
        """What a jump is measured from."""
        return number(row.status.accepted_price, row.currency)

    @display(description="accepted")
    def accepted_moment(self, row: PriceRule) -> str:
        """When it was accepted."""
        return cells.moment(row.status.accepted_at)

    @display(description="last look")
    def checked(self, row: PriceRule) -> str:
        """When its sources were asked."""
        return cells.moment(row.status.checked_at)

    @display(description="floor and ceiling")
    def bounds(self, row: PriceRule) -> str:
        """What no price is beyond."""
        return cells.join(number(row.floor), "to", number(row.ceiling, row.currency))

    @display(description="sources that must agree")
    def least(self, row: PriceRule) -> str:
        """How many."""
        return cells.number(row.least_sources)

    @display(description="from the median, at most")
    def spread(self, row: PriceRule) -> str:
        """How far a source may be from it."""
        return percent(row.spread_bps)

    @display(description="jump, at most")
    def jump(self, row: PriceRule) -> str:
        """How far a price may be from the last accepted one."""
        return percent(row.jump_bps)

    @display(description="a quote holds (seconds)")
    def holds(self, row: PriceRule) -> str:
        """For how long."""
        return cells.number(row.quote_s)

    @display(description="set by")
    def set_by(self, row: PriceRule) -> str:
        """The proposal that two people agreed to."""
        return cells.link(row.proposal)


@admin.register(PriceSource)
class PriceSourceAdmin(OfPrices):
    """Whoever is asked what a bitcoin costs."""

    list_display = ("name", "currency", "kind", "where", "says", "as_of", "state")
    list_filter = ("currency", ("kind", ChoicesDropdownFilter))
    when_empty = "Nobody is asked. Security administrators propose sources under Prices."
    actions_detail = ("change_source", "give")
    fieldsets = (
        (None, {"fields": ("currency", "kind", "where", "fresh", "state", "set_by")}),
        ("Last answer", {"fields": ("says", "as_of", "asked", "problem")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceSource]:
        """Return the sources with what they said last."""
        return super().get_queryset(request).select_related("reading", "proposal")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer changes to those who set sources, and a price by hand to treasurers."""
        row = self.get_object(request, str(object_id))
        names = [] if row is None or row.ended_at else price_pages.of_source(request, row, is_setter(request))
        return [self.get_unfold_action(name) for name in names]

    @action(description="Propose changes", url_path="change-source", icon="edit")
    def change_source(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for another address or limit, or the end."""
        return price_pages.propose_source(self, request, self.get_row(request, object_id))

    @action(description="Give a price", url_path="give", icon="edit_note", variant=ActionVariant.PRIMARY)
    def give(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what a bitcoin costs."""
        return price_pages.give(self, request, self.get_row(request, object_id))

    @display(description="address")
    def where(self, row: PriceSource) -> str:
        """Where it is asked."""
        return cells.long(row.address)

    @display(description="stale after (seconds)")
    def fresh(self, row: PriceSource) -> str:
        """How old what it says may be."""
        return cells.number(row.fresh_s)

    @display(description="state")
    def state(self, row: PriceSource) -> str:
        """Whether it is asked."""
        return cells.label("", "ended") if row.ended_at else cells.label("", "asked", cells.GOOD)

    @display(description="set by")
    def set_by(self, row: PriceSource) -> str:
        """The proposal that two people agreed to."""
        return cells.link(row.proposal)

    @display(description="says")
    def says(self, row: PriceSource) -> str:
        """The price."""
        return number(_reading(row, "value"), row.currency)

    @display(description="as of")
    def as_of(self, row: PriceSource) -> str:
        """By its own clock, or when it was seen first."""
        return cells.moment(_reading(row, "value_at"))

    @display(description="asked")
    def asked(self, row: PriceSource) -> str:
        """When."""
        return cells.moment(_reading(row, "asked_at"))

    @display(description="last problem")
    def problem(self, row: PriceSource) -> str:
        """Why its last answer was none."""
        return cells.problem(_reading(row, "message") or "") or cells.EMPTY


@admin.register(Quote)
class QuoteAdmin(OfPrices):
    """Prices that were taken, for ever as they were."""

    noun = "Quote"
    list_display = ("name", "cost", "taken", "held", "used")
    list_filter = ("currency",)
    search_fields = ("pk",)
    search_help_text = "Search by number"
    when_empty = "No quote was taken yet."
    fieldsets = ((None, {"fields": ("cost", "taken", "held")}),)

    def tables(self, request: HttpRequest, obj: Quote) -> list[Table]:
        """Show what each source had said, and the rule as it stood."""
        return [
            Table(
                "What it was made of",
                ("Source", "Kind", "Said", "As of", "Used"),
                [
                    (
                        cells.long(value["name"]),
                        value["kind"],
                        number(value["value"], obj.currency),
                        _moment(value["value_at"]),
                        _used(value),
                    )
                    for value in obj.values
                ],
            ),
            Table(
                "The rule as it stood",
                ("What", "Value"),
                [
                    (label, _by(name, obj.rule[name], obj.currency))
                    for name, label in THEN.items()
                    if name in obj.rule
                ],
            ),
        ]

    @display(description="quote")
    def name(self, row: Quote) -> str:
        """Its number."""
        return f"Quote {row.pk}"

    @display(description="price of a bitcoin")
    def cost(self, row: Quote) -> str:
        """In major units."""
        return number(row.price, row.currency)

    @display(description="taken")
    def taken(self, row: Quote) -> str:
        """When."""
        return cells.moment(row.taken_at)

    @display(description="held until")
    def held(self, row: Quote) -> str:
        """Until when."""
        return cells.moment(row.expires_at)

    @display(description="sources used")
    def used(self, row: Quote) -> str:
        """How many of how many."""
        return f"{sum(value['is_used'] for value in row.values)} of {len(row.values)}"


def _source(line: selector.Line, currency: str) -> tuple[Any, ...]:
    return (
        cells.link(line.source, line.source.name),
        number(line.value["value"], currency),
        _moment(line.value["value_at"]),
        _used(line.value),
        cells.long(line.message),
    )


def _moment(text: str | None) -> str:
    return cells.moment(datetime.fromisoformat(text) if text else None)


def _by(name: str, value: Any, currency: str) -> str:
    if name.endswith("_at"):
        return _moment(value)
    is_price = name in ("floor", "ceiling", "accepted_price")
    return number(value, currency) if is_price else cells.EMPTY if value is None else str(value)


def _used(value: dict[str, Any]) -> str:
    if value["is_used"]:
        return cells.label("", "used", cells.GOOD)
    return cells.label("", value["why"].replace("_", " "), cells.BAD)


def _reading(row: PriceSource, column: str) -> Any:
    return getattr(getattr(row, "reading", None), column, None)
