"""Payouts in the admin, with the versions of their txs and the coins that they spend."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from payments.admin import asks, books, cells
from payments.admin.base import ProgramScopedAdmin, is_hash
from payments.admin.filters import ProblemFilter, ProgramFilter, by_number
from payments.admin.payment import depth
from payments.admin.reservation import liveness
from payments.admin.tables import Notice, Table, history
from payments.models import Intervention, Payment, Payout, PayoutTx
from payments.states import PayoutStatus


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
    fieldsets = (
        (None, {"fields": ("state", "program", "list_link", "waits", "created")}),
        ("Amounts", {"fields": ("count", "amount", "fee", "change", "size", "rate")}),
        ("Chain", {"fields": ("tx_whole", "anchor", "mined_in", "confirmations", "manifest")}),
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

    def tables(self, request: HttpRequest, obj: Payout) -> list[Table]:
        """Show versions, inputs, the way to its payments, what is booked, and the history."""
        txs = obj.txs.select_related("signing_request").order_by("-pk")
        txs = txs.defer("raw", "unsigned_tx", "signing_request__psbt")
        return [
            Table(
                "Versions",
                ("Txid", "Kind", "Fee", "Fee rate", "Size (vB)", "Built", "Signed", "Block"),
                [
                    (
                        cells.short(tx.txid, url=cells.page_of(tx)),
                        tx.get_kind_display(),
                        cells.sat(tx.fee_sat),
                        cells.feerate(tx.feerate_sat_kvb),
                        cells.number(tx.vsize_vb),
                        cells.moment(tx.built_at),
                        _signed(tx),
                        cells.label("", "holds it", cells.GOOD) if tx.txid == obj.mined_txid else cells.EMPTY,
                    )
                    for tx in txs[:20]
                ],
                "Not built yet.",
            ),
            Table(
                "Coins it spends",
                ("Outpoint", "Amount", "Reserved"),
                [
                    (
                        cells.outpoint(r.txid, r.vout),
                        cells.sat(r.amount_sat),
                        liveness(r),
                    )
                    for r in obj.reservations.order_by("position")[:50]
                ],
                more_url=cells.list_of(Payment, payout=obj.pk),
                more_text="Show its payments",
            ),
            Table(
                "Coins that come back",
                ("Outpoint", "Amount", "Address"),
                [
                    (
                        cells.outpoint(obj.current.txid, change.vout),
                        cells.sat(change.amount_sat),
                        cells.address(change.script_pubkey),
                    )
                    for change in obj.current.change.order_by("vout")
                ]
                if obj.current
                else [],
                "Its newest version gives nothing back.",
            ),
            Table(
                "What was asked of the engine",
                ("Intervention", "Asked for", "Status", "Added fee", "By", "Reason"),
                [
                    (
                        cells.link(row, f"Intervention {row.pk}"),
                        row.get_kind_display(),
                        cells.status_of(row),
                        cells.sat(row.preview.get("fee_added_sat")),
                        cells.person(row.proposed_by),
                        cells.long(row.note),
                    )
                    for row in obj.interventions.select_related("proposed_by").order_by("-pk")[:20]
                ],
                "Nothing.",
                cells.list_of(Intervention, payout=obj.pk),
            ),
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

    @display(description="block")
    def mined_in(self, payout: Payout) -> str:
        """The block that holds it."""
        if payout.mined_height is None:
            return cells.EMPTY
        return cells.join(f"{payout.mined_height:,}", cells.whole(payout.mined_block_hash))

    @display(description="confirmations")
    def confirmations(self, payout: Payout) -> str:
        """How deep it is, by the blocks that were read."""
        return cells.number(depth(payout.mined_height))

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


def _signed(tx: PayoutTx) -> str:
    """Write when a version was signed; until then, the way to its signing request."""
    request = getattr(tx, "signing_request", None)
    if tx.signed_at is None and request is not None:
        return cells.link(request, f"Request {request.pk}")
    return cells.moment(tx.signed_at)
