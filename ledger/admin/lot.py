"""What bitcoin institutions acquired and disposed of, in the admin; gains are reports."""

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import display

from ledger.admin import cells, scopes
from ledger.admin.base import BookAdmin
from ledger.admin.filters import InstitutionFilter
from ledger.models import LotMovement


@admin.register(LotMovement)
class LotMovementAdmin(BookAdmin):
    """Acquisitions and disposals, latest first."""

    list_display = ("reference", "institution", "kind", "effective", "amount", "value", "taxed_by")
    list_filter = (InstitutionFilter, ("kind", ChoicesDropdownFilter), ("effective_at", RangeDateTimeFilter))
    search_fields = ("reference__exact",)
    search_help_text = "Search by the whole reference"
    fields = (
        ("institution", "kind", "reference"),
        ("effective", "recorded", "recorded_by"),
        ("amount", "value"),
        ("person", "taxed_by"),
    )
    when_empty = "Nothing was recorded: manage.py record_lots takes a file of acquisitions and disposals."

    @display(description="institution")
    def institution(self, row: LotMovement) -> str:
        """Whose it is."""
        return scopes.named(row.scope)

    @display(description="effective")
    def effective(self, row: LotMovement) -> str:
        """When it happened."""
        return cells.moment(row.effective_at)

    @display(description="recorded")
    def recorded(self, row: LotMovement) -> str:
        """When it was written."""
        return cells.moment(row.recorded_at)

    @display(description="amount")
    def amount(self, row: LotMovement) -> str:
        """How much came or went."""
        return cells.amount(row.amount_sat)

    @display(description="cost or proceeds")
    def value(self, row: LotMovement) -> str:
        """What was paid for it with fees, or what it brought without them."""
        return cells.amount(row.value_minor, row.currency, row.scale)

    @display(description="taxed by")
    def taxed_by(self, row: LotMovement) -> str:
        """Whose law taxes a disposal."""
        return row.jurisdiction or cells.EMPTY
