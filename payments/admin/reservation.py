"""The coins that payouts reserve, in the admin."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from payments.admin import cells
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter, by_number
from payments.models import Reservation


@admin.register(Reservation)
class ReservationAdmin(ProgramScopedAdmin):
    """The outpoints that payouts spend."""

    noun = "Reserved coin"
    program_path = "payout__wallet__program"
    list_display = ("outpoint", "payout_link", "amount", "state")
    list_filter = (ProgramFilter, by_number("payout", "payout"))
    search_fields = ("txid",)
    search_help_text = "Search by txid"
    fields = ("outpoint_whole", "payout_link", "amount", "state")
    when_empty = "No coin is reserved: payouts reserve them when they are sealed."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reservation]:
        """Return the reservations of the user's programs."""
        rows: QuerySet[Reservation] = super().get_queryset(request)
        return rows.select_related("payout")

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by the txid of the coin."""
        return Q(txid=term.lower())

    @display(description="outpoint")
    def outpoint(self, row: Reservation) -> str:
        """The coin, shortened."""
        return cells.outpoint(row.txid, row.vout)

    @display(description="outpoint")
    def outpoint_whole(self, row: Reservation) -> str:
        """The coin."""
        return cells.whole(f"{row.txid}:{row.vout}")

    @display(description="payout")
    def payout_link(self, row: Reservation) -> str:
        """The payout."""
        return cells.link(row.payout, f"Payout {row.payout_id}")

    @display(description="amount")
    def amount(self, row: Reservation) -> str:
        """What the coin is worth."""
        return cells.sat(row.amount_sat)

    @display(description="state")
    def state(self, row: Reservation) -> str:
        """Whether the coin is still reserved."""
        return liveness(row)


def liveness(row: Reservation) -> str:
    """Write whether a coin is still reserved."""
    return cells.label("", "live", cells.INFO) if row.is_live else cells.label("", "given back")
