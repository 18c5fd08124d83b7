"""Scans of the public sector's bitcoin in the admin; what they found by address is a report."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from ledger.admin.base import BookAdmin
from ledger.models import ReserveScan


@admin.register(ReserveScan)
class ReserveScanAdmin(BookAdmin):
    """Scans, latest first, and whether their block is still in the chain."""

    list_display = ("height", "block_hash", "block_at", "scanned_at", "stands")
    list_filter = ("network",)
    search_fields = ("pk",)
    search_help_text = "Search by number"
    fields = (("height", "block_hash"), ("network", "block_at"), ("scanned_at", "stands"))
    when_empty = (
        "Nothing was scanned: workers do so once there are holdings, and manage.py scan_reserve at once."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReserveScan]:
        """Return the scans with what became of them."""
        rows: QuerySet[ReserveScan] = super().get_queryset(request)
        return rows.select_related("loss")

    @display(description="in the chain", boolean=True)
    def stands(self, row: ReserveScan) -> bool:
        """Whether its block did not leave the chain since."""
        return not hasattr(row, "loss")
