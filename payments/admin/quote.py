"""Quotes in the admin: prices that were taken, with all that each was made of."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from govpay.said import said
from payments.admin import cells, price_pages, prices
from payments.admin.tables import Table
from payments.models import Quote

LAST = 10
# What a quote keeps of the rule, in this order.
THEN = {name: price_pages.LABELS[name] for name in ("least_sources", "spread_bps", "jump_bps")} | {
    "floor": "Floor",
    "ceiling": "Ceiling",
    "accepted_price": "Last accepted price",
    "accepted_at": "Accepted",
    "proposal": "Set by proposal",
}


@admin.register(Quote)
class QuoteAdmin(prices.OfPrices):
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
                        prices.number(value["value"], obj.currency),
                        prices.moment(value["value_at"]),
                        prices.used(value),
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
        return prices.number(row.price, row.currency)

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
        return said("{0} of {1}", sum(value["is_used"] for value in row.values), len(row.values))


def _by(name: str, value: Any, currency: str) -> str:
    if name.endswith("_at"):
        return prices.moment(value)
    is_price = name in ("floor", "ceiling", "accepted_price")
    return prices.number(value, currency) if is_price else cells.EMPTY if value is None else str(value)
