"""What bitcoin institutions acquired and disposed of, in the admin; gains are reports."""

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter

from ledger.admin.base import BookAdmin
from ledger.admin.filters import ScopeFilter
from ledger.models import LotMovement


@admin.register(LotMovement)
class LotMovementAdmin(BookAdmin):
    """Acquisitions and disposals, latest first."""

    list_display = (
        "reference",
        "scope",
        "kind",
        "effective_at",
        "amount_sat",
        "value_minor",
        "currency",
        "jurisdiction",
    )
    list_filter = (ScopeFilter, ("kind", ChoicesDropdownFilter), ("effective_at", RangeDateTimeFilter))
    search_fields = ("reference__exact",)
    search_help_text = "Search by the whole reference"
    fields = (
        ("scope", "kind", "reference"),
        ("effective_at", "recorded_at", "recorded_by"),
        ("amount_sat", "value_minor", "currency", "scale"),
        ("person", "jurisdiction"),
    )
    when_empty = "Nothing was recorded: manage.py record_lots takes a file of acquisitions and disposals."
