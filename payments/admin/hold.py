"""Holds in the admin: why lines of lists wait, or waited."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from govpay.said import said
from payments.admin import cells
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import by_number
from payments.admin.tables import Table
from payments.models import Hold, HoldRule, Payment


class RuleFilter(DropdownFilter):
    """What holds."""

    title = "rule"
    parameter_name = "rule"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the rules."""
        return HoldRule.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep one of them."""
        return queryset.filter(rule=self.value()) if self.value() else queryset


class OpenFilter(DropdownFilter):
    """Whether it still holds."""

    title = "state"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the two."""
        return [("yes", "Open"), ("no", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep one of them."""
        return queryset.filter(ended_at__isnull=self.value() == "yes") if self.value() else queryset


@admin.register(Hold)
class HoldAdmin(ProgramScopedAdmin):
    """Why lines wait."""

    noun = "Hold"
    program_path = "payment__disbursement__program"
    list_display = ("payment_link", "rule_name", "reason", "placed", "state")
    list_filter = (OpenFilter, RuleFilter, by_number("payment", "payment"))
    search_fields = ("pk",)
    search_help_text = "Search by number"
    fields = ("payment_link", "rule_name", "reason", "placed", "placer", "state", "ender")
    when_empty = "No line was ever held."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Hold]:
        """Return the holds on lines of the user's programs."""
        rows: QuerySet[Hold] = super().get_queryset(request)
        return rows.select_related("payment", "placed_by", "ended_by")

    @display(description="payment")
    def payment_link(self, hold: Hold) -> str:
        """The line."""
        return cells.link(hold.payment, f"Payment {hold.payment_id}")

    @display(description="rule")
    def rule_name(self, hold: Hold) -> str:
        """The rule in words."""
        return cells.long(said(hold.label))

    @display(description="why")
    def reason(self, hold: Hold) -> str:
        """What it says of this payment."""
        return cells.long(hold.note)

    @display(description="since")
    def placed(self, hold: Hold) -> str:
        """When it began."""
        return cells.moment(hold.placed_at)

    @display(description="held by")
    def placer(self, hold: Hold) -> str:
        """The person, or the rule."""
        return cells.person(hold.placed_by) if hold.placed_by else "the rule"

    @display(description="state")
    def state(self, hold: Hold) -> str:
        """Whether it still holds."""
        if hold.ended_at is None:
            return cells.label("", "open", cells.BUSY)
        return cells.join(cells.label("", "ended"), cells.moment(hold.ended_at))

    @display(description="ended by")
    def ender(self, hold: Hold) -> str:
        """The person who judged it, or the rule."""
        if hold.ended_at is None:
            return cells.EMPTY
        return cells.person(hold.ended_by) if hold.ended_by else "the rule"


def table(payment: Payment) -> Table:
    """Return why a line waits or waited."""
    rows = payment.holds.select_related("placed_by", "ended_by").order_by("-pk")[:20]
    return Table(
        "Holds",
        ("Rule", "Why", "Since", "Ended"),
        [
            (
                cells.link(hold, hold.label),
                cells.long(hold.note),
                cells.moment(hold.placed_at),
                cells.moment(hold.ended_at) if hold.ended_at else cells.label("", "open", cells.BUSY),
            )
            for hold in rows
        ],
        "Nothing ever held this line.",
    )
