"""The versions of payouts' txs in the admin, signed ones byte for byte."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from payments.admin import cells
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.models import PayoutTx


@admin.register(PayoutTx)
class PayoutTxAdmin(ProgramScopedAdmin):
    """The versions of payouts, signed ones byte for byte."""

    noun = "Payout tx"
    program_path = "payout__wallet__program"
    list_display = ("name", "payout_link", "fee", "size", "signed")
    list_filter = (ProgramFilter,)
    date_hierarchy = "built_at"
    search_fields = ("txid",)
    search_help_text = "Search by txid"
    fields = ("name_whole", "payout_link", "fee", "size", "signed", "bytes_hex")
    when_empty = "Nothing is sealed yet."

    def get_queryset(self, request: HttpRequest) -> QuerySet[PayoutTx]:
        """Return the txs of the user's programs; their bytes are read on the page alone."""
        rows: QuerySet[PayoutTx] = super().get_queryset(request)
        return rows.select_related("payout").defer("raw", "unsigned_tx")

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by txid."""
        return Q(txid=term.lower())

    @display(description="txid")
    def name(self, tx: PayoutTx) -> str:
        """The txid, shortened."""
        return cells.short(tx.txid)

    @display(description="txid")
    def name_whole(self, tx: PayoutTx) -> str:
        """The txid."""
        return cells.whole(tx.txid)

    @display(description="payout")
    def payout_link(self, tx: PayoutTx) -> str:
        """The payout."""
        return cells.link(tx.payout, f"Payout {tx.payout_id}")

    @display(description="fee")
    def fee(self, tx: PayoutTx) -> str:
        """What the network gets."""
        return cells.sat(tx.fee_sat)

    @display(description="size")
    def size(self, tx: PayoutTx) -> str:
        """How large it is."""
        return f"{tx.vsize_vb:,} vB"

    @display(description="signed")
    def signed(self, tx: PayoutTx) -> str:
        """When it was signed."""
        return cells.moment(tx.signed_at)

    @display(description="raw tx")
    def bytes_hex(self, tx: PayoutTx) -> str:
        """The bytes that were and will be sent."""
        return cells.whole(tx.raw)
