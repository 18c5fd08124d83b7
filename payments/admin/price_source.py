"""Sources of prices in the admin: where each is asked, and what it said last."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from payments.admin import cells, price_pages, prices
from payments.models import ManualPrice, PriceSource, SourceKind


@admin.register(PriceSource)
class PriceSourceAdmin(prices.OfPrices):
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
        """Return the sources with what they said last, or two people for them."""
        given = ManualPrice.objects.filter(
            source=OuterRef("pk"), confirmed_at__isnull=False, withdrawn_at=None
        ).order_by("-pk")
        return (
            super()
            .get_queryset(request)
            .select_related("reading", "proposal")
            .annotate(
                given_price=Subquery(given.values("price")[:1]),
                given_at=Subquery(given.values("given_at")[:1]),
            )
        )

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer changes to those who set sources, and a price by hand to treasurers."""
        row = self.get_object(request, str(object_id))
        names = (
            []
            if row is None or row.ended_at
            else price_pages.of_source(request, row, prices.is_setter(request))
        )
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
        if row.ended_at:
            return cells.label("", "ended")
        return cells.label("", "given by hand" if row.kind == SourceKind.MANUAL else "asked", cells.GOOD)

    @display(description="set by")
    def set_by(self, row: PriceSource) -> str:
        """The proposal that two people agreed to."""
        return cells.link(row.proposal)

    @display(description="says")
    def says(self, row: Any) -> str:
        """The price."""
        return prices.number(row.given_price or _reading(row, "value"), row.currency)

    @display(description="as of")
    def as_of(self, row: Any) -> str:
        """By its own clock, or when it was seen first; of a price by hand when it was given."""
        return cells.moment(row.given_at or _reading(row, "value_at"))

    @display(description="asked")
    def asked(self, row: PriceSource) -> str:
        """When."""
        return cells.moment(_reading(row, "asked_at"))

    @display(description="last problem")
    def problem(self, row: PriceSource) -> str:
        """Why its last answer was none."""
        return cells.problem(_reading(row, "message") or "") or cells.EMPTY


def _reading(row: PriceSource, column: str) -> Any:
    return getattr(getattr(row, "reading", None), column, None)
