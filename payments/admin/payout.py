"""Payouts in the admin, with the versions of their txs and the coins that they spend."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from payments.admin import (
    asks,
    books,
    cells,
    confirmed,
    fee_chart,
    payout_graph,
    payout_tables,
    versions,
)
from payments.admin.base import ProgramScopedAdmin, is_hash
from payments.admin.filters import ProblemFilter, ProgramFilter, by_number
from payments.admin.tables import Notice, Table, history
from payments.models import Payout, PayoutTx
from payments.states import PayoutStatus

# A payout of more coins than these draws and counts the first of them.
DRAWN = 1_000


@admin.register(Payout)
class PayoutAdmin(ProgramScopedAdmin):
    """Groups of payments that one tx pays; the engine alone moves them."""

    noun = "Payout"
    program_path = "wallet__program"
    list_display = ("number", "program", "list_link", "state", "count", "amount", "fee", "tx", "waits")
    list_filter = (
        ProgramFilter,
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ProblemFilter,
        by_number("disbursement", "disbursement"),
    )
    date_hierarchy = "created_at"
    search_fields = ("current__txid",)
    search_help_text = "Search by txid or payout number"
    when_empty = "No payout yet: the engine seals payments into payouts once a list is released."
    actions_detail = ("bump", "child", "void", "thaw", "reissue")
    change_form_template = "payments/admin/payout.html"
    fieldsets = (
        (None, {"fields": ("state", "program", "list_link", "waits", "created")}),
        ("Amounts", {"fields": ("count", "amount", "fee", "change", "size", "rate")}),
        ("Chain", {"fields": ("tx_whole", "anchor", "manifest")}),
        ("Engine", {"fields": ("lease", "due", "attempts")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payout]:
        """Return the payouts of the user's programs without their bytes."""
        rows: QuerySet[Payout] = super().get_queryset(request)
        return rows.select_related("wallet__program", "disbursement", "current").defer(
            "current__unsigned_tx", "current__raw"
        )

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by the txid of any version, or by number."""
        if is_hash(term):
            return Q(pk__in=PayoutTx.objects.filter(txid=term.lower()).values("payout"))
        return super().find(request, term)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the payout's status and the user's role allow."""
        row = self.get_object(request, str(object_id))
        names = [] if row is None else asks.of_payout(request, row)
        return [self.get_unfold_action(name) for name in self.actions_detail if name in names]

    @action(description="Bump the fee", url_path="bump", icon="speed", variant=ActionVariant.PRIMARY)
    def bump(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pay the network more for the same payments."""
        return asks.ask(self, request, self.get_row(request, object_id), "bump")

    @action(description="Pay by a child", url_path="child", icon="child_care", variant=ActionVariant.DEFAULT)
    def child(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pay the network more by a tx that spends the change."""
        return asks.ask(self, request, self.get_row(request, object_id), "child")

    @action(description="Give up (void)", url_path="void", icon="undo", variant=ActionVariant.DANGER)
    def void(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take its coin back."""
        return asks.ask(self, request, self.get_row(request, object_id), "void")

    @action(
        description="Let it go on (thaw)", url_path="thaw", icon="play_arrow", variant=ActionVariant.WARNING
    )
    def thaw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let the same sealed tx go on."""
        return asks.ask(self, request, self.get_row(request, object_id), "thaw")

    @action(
        description="Reissue its payments",
        url_path="reissue",
        icon="restart_alt",
        variant=ActionVariant.PRIMARY,
    )
    def reissue(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make a new list of its payments."""
        return asks.reissue(self, request, self.get_row(request, object_id))

    def notices(self, request: HttpRequest, obj: Payout) -> list[Notice]:
        """Say why it waits, whether somebody must judge, and what is decided first."""
        return _state(obj) + asks.open_notices(obj) + asks.reissue_notices(obj)

    def parts(self, request: HttpRequest, obj: Payout) -> dict[str, Any]:
        """Show how deep it is, its txs as a picture, and their fee rates over time."""
        oldest_first = list(reversed(payout_tables.read_versions(obj)))
        coins = list(obj.reservations.order_by("position")[:DRAWN])
        return {
            "confirmed": confirmed.of_payout(obj),
            "graph": payout_graph.draw(obj, coins, oldest_first, payout_tables.first_payments(obj)),
            "chart": fee_chart.of_payout(obj, oldest_first),
        }

    def get_custom_urls(self) -> tuple[tuple[str, str, Any], ...]:
        """Add the part of the page that asks for itself again."""
        return (("<path:object_id>/confirmed/", "payments_payout_confirmed", self.confirmed),)

    def confirmed(self, request: HttpRequest, object_id: str, model_admin: Any = None) -> HttpResponse:
        """Return how deep it is."""
        return confirmed.answer(request, self.get_row(request, object_id))

    def tables(self, request: HttpRequest, obj: Payout) -> list[Table]:
        """Show versions, inputs and outputs, what was asked of the engine, what is booked, and the history."""
        return [
            payout_tables.versions(obj),
            *versions.of_payout(obj),
            payout_tables.coins(obj),
            payout_tables.outputs(obj),
            payout_tables.asked(obj),
            *books.of_source(request, f"payout:{obj.pk}"),
            history("payout", obj.pk),
        ]

    @display(description="payout")
    def number(self, payout: Payout) -> str:
        """The payout's number."""
        return f"Payout {payout.pk}"

    @display(description="program")
    def program(self, payout: Payout) -> str:
        """The program."""
        return str(payout.wallet.program)

    @display(description="list")
    def list_link(self, payout: Payout) -> str:
        """The list."""
        if payout.disbursement is None:
            return payout.get_kind_display()
        return cells.link(payout.disbursement, f"List {payout.disbursement_id}")

    @display(description="status")
    def state(self, payout: Payout) -> str:
        """Where it stands."""
        return cells.status_of(payout)

    @display(description="payments")
    def count(self, payout: Payout) -> str:
        """How many payments it has."""
        return cells.number(payout.payment_count)

    @display(description="amount")
    def amount(self, payout: Payout) -> str:
        """What it pays."""
        return cells.sat(payout.payments_sat)

    @display(description="fee")
    def fee(self, payout: Payout) -> str:
        """What the network gets."""
        return cells.sat(payout.current.fee_sat if payout.current else None)

    @display(description="change")
    def change(self, payout: Payout) -> str:
        """What comes back to the wallet."""
        return cells.sat(payout.current.change_sat if payout.current else None)

    @display(description="size")
    def size(self, payout: Payout) -> str:
        """The tx's virtual size."""
        return f"{payout.current.vsize_vb:,} vB" if payout.current else cells.EMPTY

    @display(description="fee rate")
    def rate(self, payout: Payout) -> str:
        """The fee rate."""
        return cells.feerate(payout.current.feerate_sat_kvb) if payout.current else cells.EMPTY

    @display(description="tx")
    def tx(self, payout: Payout) -> str:
        """The txid, shortened."""
        return cells.short(payout.mined_txid or (payout.current.txid if payout.current else None))

    @display(description="txid")
    def tx_whole(self, payout: Payout) -> str:
        """The txid."""
        return cells.whole(payout.mined_txid or (payout.current.txid if payout.current else None))

    @display(description="anchor outpoint")
    def anchor(self, payout: Payout) -> str:
        """The coin that every version spends."""
        return cells.whole(f"{payout.anchor_txid}:{payout.anchor_vout}")

    @display(description="manifest hash")
    def manifest(self, payout: Payout) -> str:
        """The hash of what it pays to whom."""
        return cells.whole(payout.manifest_hash)

    @display(description="sealed")
    def created(self, payout: Payout) -> str:
        """When it was sealed."""
        return cells.moment(payout.created_at)

    @display(description="a worker has it until")
    def lease(self, payout: Payout) -> str:
        """When the worker's lease ends."""
        return cells.moment(payout.lease_until)

    @display(description="next visit")
    def due(self, payout: Payout) -> str:
        """When the engine looks again."""
        return cells.moment(payout.due_at)

    @display(description="waits for")
    def waits(self, payout: Payout) -> str:
        """Why it waits or is frozen."""
        return cells.problem(payout.problem) or cells.EMPTY


def _state(payout: Payout) -> list[Notice]:
    if payout.status == PayoutStatus.FROZEN:
        text = f"{payout.problem} The engine does nothing more with it until a person has judged it."
        return [Notice(text, cells.BAD, "This payout is frozen")]
    if payout.problem:
        text = f"{payout.problem} The engine goes on by itself as soon as it can."
        return [Notice(text, cells.BUSY, "This payout waits")]
    return []
