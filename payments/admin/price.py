"""Prices in the admin: what is believed in each currency, with every source and the last quotes."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, price_pages, prices
from payments.admin.tables import Notice, Table
from payments.models import PriceRule, Quote
from payments.prices import reading
from payments.selectors import prices as selector

LAST = 10


@admin.register(PriceRule)
class PriceRuleAdmin(prices.OfPrices):
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
        names = self.actions_list if prices.is_setter(request) else ()
        return [self.get_unfold_action(name) for name in names]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer changes to those who set rules."""
        return [self.get_unfold_action("change_rule")] if prices.is_setter(request) else []

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
                        prices.number(row.price, row.currency),
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
        return prices.number(row.status.accepted_price, row.currency)

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
        return cells.figure(
            said("{0} to {1}", reading.grouped(row.floor), reading.grouped(row.ceiling, row.currency))
        )

    @display(description="sources that must agree")
    def least(self, row: PriceRule) -> str:
        """How many."""
        return cells.number(row.least_sources)

    @display(description="from the median, at most")
    def spread(self, row: PriceRule) -> str:
        """How far a source may be from it."""
        return prices.percent(row.spread_bps)

    @display(description="jump, at most")
    def jump(self, row: PriceRule) -> str:
        """How far a price may be from the last accepted one."""
        return prices.percent(row.jump_bps)

    @display(description="a quote holds (seconds)")
    def holds(self, row: PriceRule) -> str:
        """For how long."""
        return cells.number(row.quote_s)

    @display(description="set by")
    def set_by(self, row: PriceRule) -> str:
        """The proposal that two people agreed to."""
        return cells.link(row.proposal)


def _source(line: selector.Line, currency: str) -> tuple[Any, ...]:
    return (
        cells.link(line.source, line.source.name),
        prices.number(line.value["value"], currency),
        prices.moment(line.value["value_at"]),
        prices.used(line.value),
        cells.long(said(line.message)),
    )
