"""What two people do about prices in the admin: prices by hand, and breakers that they close."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, price_pages, prices
from payments.admin.filters import by_number
from payments.admin.tables import Notice
from payments.models import ManualPrice, PriceBreaker

TONES = {"given": cells.BUSY, "confirmed": cells.GOOD, "withdrawn": cells.PLAIN}


@admin.register(ManualPrice)
class ManualPriceAdmin(prices.OfPrices):
    """Prices that one person gave and another confirmed."""

    noun = "Manual price"
    list_display = ("name", "cost", "state_label", "giver", "given", "confirmer")
    list_filter = (by_number("source", "source"),)
    when_empty = "Nobody gave a price by hand. Treasurers do so on a source of the kind Two people."
    actions_detail = ("confirm", "withdraw")
    fieldsets = (
        (None, {"fields": ("source_link", "cost", "state_label", "reason")}),
        ("People", {"fields": ("giver", "given", "confirmer", "confirmed", "withdrawer", "withdrawn")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ManualPrice]:
        """Return all of them with their people."""
        rows = super().get_queryset(request)
        return rows.select_related("source", "given_by", "confirmed_by", "withdrawn_by")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what a treasurer may do with it."""
        row = self.get_object(request, str(object_id))
        names = [] if row is None else price_pages.of_manual_price(request, row)
        return [self.get_unfold_action(name) for name in names]

    @action(description="Confirm", url_path="confirm", icon="check", variant=ActionVariant.PRIMARY)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stand for it as a second person."""
        return price_pages.confirm(self, request, self.get_row(request, object_id))

    @action(description="Withdraw", url_path="withdraw", icon="undo", variant=ActionVariant.WARNING)
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let it count no more."""
        return price_pages.withdraw(self, request, self.get_row(request, object_id))

    def notices(self, request: HttpRequest, obj: ManualPrice) -> list[Notice]:
        """Say whose turn it is."""
        if obj.state != "given":
            return []
        return [
            Notice("Another treasurer confirms it; until then it counts for nothing.", cells.BUSY, "Waits")
        ]

    @display(description="price")
    def name(self, row: ManualPrice) -> str:
        """Its number."""
        return f"Manual price {row.pk}"

    @display(description="source")
    def source_link(self, row: ManualPrice) -> str:
        """For which source."""
        return cells.link(row.source)

    @display(description="price of a bitcoin")
    def cost(self, row: ManualPrice) -> str:
        """In major units."""
        return prices.number(row.price, row.source.currency)

    @display(description="state")
    def state_label(self, row: ManualPrice) -> str:
        """Where it stands."""
        return cells.label("", row.state, TONES[row.state])

    @display(description="where it comes from")
    def reason(self, row: ManualPrice) -> str:
        """What its giver said."""
        return cells.long(row.note)

    @display(description="given by")
    def giver(self, row: ManualPrice) -> str:
        """Who gave it."""
        return cells.person(row.given_by)

    @display(description="given")
    def given(self, row: ManualPrice) -> str:
        """When; its age counts from here."""
        return cells.moment(row.given_at)

    @display(description="confirmed by")
    def confirmer(self, row: ManualPrice) -> str:
        """Who confirmed it."""
        return cells.person(row.confirmed_by)

    @display(description="confirmed")
    def confirmed(self, row: ManualPrice) -> str:
        """When it was confirmed."""
        return cells.moment(row.confirmed_at)

    @display(description="withdrawn by")
    def withdrawer(self, row: ManualPrice) -> str:
        """Who withdrew it."""
        return cells.person(row.withdrawn_by)

    @display(description="withdrawn")
    def withdrawn(self, row: ManualPrice) -> str:
        """When it was withdrawn."""
        return cells.moment(row.withdrawn_at)


@admin.register(PriceBreaker)
class PriceBreakerAdmin(prices.OfPrices):
    """Jumps, and who closed them."""

    noun = "Breaker"
    list_display = ("name", "state", "jumped", "opened", "asker", "closer")
    when_empty = "No price has ever jumped."
    actions_detail = ("close", "confirm")
    fieldsets = (
        (None, {"fields": ("state", "jumped", "opened")}),
        ("Closing", {"fields": ("at_price", "reason", "asker", "asked", "closer", "closed")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceBreaker]:
        """Return all of them with their people."""
        return super().get_queryset(request).select_related("rule", "asked_by", "closed_by")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what a treasurer may do with it."""
        row = self.get_object(request, str(object_id))
        names = [] if row is None else price_pages.of_breaker(request, row)
        return [self.get_unfold_action(name) for name in names]

    @action(description="Ask to close", url_path="close", icon="lock_open", variant=ActionVariant.WARNING)
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Name the price at which it should be closed."""
        return price_pages.ask_to_close(self, request, self.get_row(request, object_id))

    @action(description="Close it", url_path="confirm", icon="check", variant=ActionVariant.PRIMARY)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Close it as a second person."""
        return price_pages.close(self, request, self.get_row(request, object_id))

    def notices(self, request: HttpRequest, obj: PriceBreaker) -> list[Notice]:
        """Say whose turn it is."""
        if not obj.is_open:
            return []
        waits = "One treasurer asks to close it at the price that is right, and another confirms it."
        text = waits if obj.close_price is None else "Another treasurer than who asked closes it."
        return [Notice(text, cells.BAD, said("Nothing is quoted in {0}", obj.rule.currency))]

    @display(description="breaker")
    def name(self, row: PriceBreaker) -> str:
        """Its number."""
        return f"Breaker {row.pk}"

    @display(description="state")
    def state(self, row: PriceBreaker) -> str:
        """Whether it is open."""
        return cells.label("", "open", cells.BAD) if row.is_open else cells.label("", "closed")

    @display(description="jump")
    def jumped(self, row: PriceBreaker) -> str:
        """From where to where."""
        return cells.join(
            prices.number(row.from_price), said("to"), prices.number(row.to_price, row.rule.currency)
        )

    @display(description="opened")
    def opened(self, row: PriceBreaker) -> str:
        """When."""
        return cells.moment(row.opened_at)

    @display(description="at")
    def at_price(self, row: PriceBreaker) -> str:
        """The price from which it goes on."""
        return prices.number(row.close_price, row.rule.currency)

    @display(description="reason")
    def reason(self, row: PriceBreaker) -> str:
        """Why it should be closed."""
        return cells.long(row.close_note)

    @display(description="asked by")
    def asker(self, row: PriceBreaker) -> str:
        """Who asked."""
        return cells.person(row.asked_by)

    @display(description="asked")
    def asked(self, row: PriceBreaker) -> str:
        """When somebody asked."""
        return cells.moment(row.asked_at)

    @display(description="closed by")
    def closer(self, row: PriceBreaker) -> str:
        """Who closed it."""
        return cells.person(row.closed_by)

    @display(description="closed")
    def closed(self, row: PriceBreaker) -> str:
        """When it was closed."""
        return cells.moment(row.closed_at)
