"""Funding wallets and their coins in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from payments.admin import asks, cells, scope
from payments.admin.base import ProgramScopedAdmin, is_hash, script_of
from payments.admin.filters import ProgramFilter
from payments.admin.tables import Notice, Table
from payments.models import Coin, Role, ScriptPurpose, Wallet
from payments.payout import coins


@admin.register(Wallet)
class WalletAdmin(ProgramScopedAdmin):
    """The funding wallets of the user's programs."""

    list_display = ("name", "program", "signer_kind", "state", "birth_height", "ready")
    list_select_related = ("program",)
    list_filter = (ProgramFilter,)
    fields = (
        "name",
        "program",
        "signer_kind",
        "descriptor_text",
        "state",
        "birth_height",
        "ready",
        "merging",
    )
    when_empty = "A wallet is made together with its program."
    actions_detail = ("lift",)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer to lift a halt to those who may ask for it."""
        row = self.get_object(request, str(object_id))
        may = row is not None and row.halted_at and scope.holds(request, row.program_id, Role.TREASURER)
        return [self.get_unfold_action("lift")] if may else []

    @action(description="Lift the halt", url_path="lift", icon="lock_open", variant=ActionVariant.DANGER)
    def lift(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the halt to be lifted."""
        return asks.lift(self, request, self.get_row(request, object_id))

    def notices(self, request: HttpRequest, obj: Wallet) -> list[Notice]:
        """Say why the wallet is halted."""
        if obj.halted_at is None:
            return []
        text = f"{obj.halt_reason} Nothing of it is sealed, signed or sent until two people lift the halt."
        return [Notice(text, cells.BAD, "This wallet is halted")]

    def tables(self, request: HttpRequest, obj: Wallet) -> list[Table]:
        """Show the scripts that people may fund, and how many are ready for change."""
        scripts = obj.scripts.filter(purpose=ScriptPurpose.FUNDING).order_by("pk")[:20]
        return [
            Table(
                "Funding addresses",
                ("Address", "Since"),
                [
                    (
                        cells.address(script.script_pubkey),
                        cells.moment(script.created_at),
                    )
                    for script in scripts
                ],
                "The engine makes one as soon as the node answers.",
            )
        ]

    @display(description="signed by")
    def signer_kind(self, wallet: Wallet) -> str:
        """Who holds the keys."""
        return wallet.get_signer_display()

    @display(description="descriptor")
    def descriptor_text(self, wallet: Wallet) -> str:
        """What a watch-only wallet watches."""
        return cells.whole(wallet.descriptor)

    @display(description="merging of small coins")
    def merging(self, wallet: Wallet) -> str:
        """Why small coins were not merged when they were last looked at."""
        if wallet.program.consolidate_feerate_sat_kvb is None:
            return "The program's rules merge none."
        return cells.problem(wallet.consolidate_problem) or "Nothing is in the way."

    @display(description="state")
    def state(self, wallet: Wallet) -> str:
        """Whether the wallet is in the node yet, and pays."""
        if wallet.halted_at is not None:
            return cells.label("", "halted", cells.BAD)
        if wallet.ready_at is None:
            return cells.label("", "being made", cells.BUSY)
        return cells.label("", "ready", cells.GOOD)

    @display(description="ready since")
    def ready(self, wallet: Wallet) -> str:
        """When the engine had made it."""
        return cells.moment(wallet.ready_at)


@admin.register(Coin)
class CoinAdmin(ProgramScopedAdmin):
    """The outputs that the wallets of the user's programs own or owned."""

    noun = "Coin"
    program_path = "wallet__program"
    list_display = ("outpoint", "program", "amount", "state", "block_height", "kind")
    list_select_related = ("wallet__program",)
    list_filter = (ProgramFilter,)
    fields = (
        "outpoint_whole",
        "program",
        "amount",
        "state",
        "address",
        "block",
        "kind",
        "spent_by",
        "funding",
    )
    search_fields = ("txid",)
    search_help_text = "Search by txid or address"
    when_empty = "No coin yet: send test coins to the funding address of the program's wallet."

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by txid or by one of our addresses."""
        if is_hash(term):
            return Q(txid=term.lower())
        script = script_of(term)
        return Q(pk__in=[]) if script is None else Q(script_pubkey=script)

    @display(description="outpoint")
    def outpoint(self, coin: Coin) -> str:
        """The coin's name on chain, shortened."""
        return cells.outpoint(coin.txid, coin.vout)

    @display(description="outpoint")
    def outpoint_whole(self, coin: Coin) -> str:
        """The coin's name on chain."""
        return cells.whole(f"{coin.txid}:{coin.vout}")

    @display(description="program")
    def program(self, coin: Coin) -> str:
        """Whose coin it is."""
        return cells.link(coin.wallet.program)

    @display(description="amount")
    def amount(self, coin: Coin) -> str:
        """What it is worth."""
        return cells.sat(coin.amount_sat)

    @display(description="state")
    def state(self, coin: Coin) -> str:
        """Whether a block spent it, or nobody will."""
        if coin.spent_by_txid is None:
            if coins.is_dust(coin):
                return cells.label("", "dust, left alone")
            return cells.label("", "unspent", cells.GOOD)
        return cells.label("", "spent")

    @display(description="came as")
    def kind(self, coin: Coin) -> str:
        """A deposit from outside, or the wallet's own change."""
        return "deposit" if coin.funding_entry_id is not None else "change"

    @display(description="address")
    def address(self, coin: Coin) -> str:
        """The address that holds it."""
        return cells.address(coin.script_pubkey)

    @display(description="block")
    def block(self, coin: Coin) -> str:
        """The block that made it."""
        return cells.join(f"{coin.block_height:,}", cells.whole(coin.block_hash))

    @display(description="spent by")
    def spent_by(self, coin: Coin) -> str:
        """The tx that spent it."""
        return cells.whole(coin.spent_by_txid)

    @display(description="journal entry")
    def funding(self, coin: Coin) -> Any:
        """The entry that booked it, if it is a deposit."""
        return cells.EMPTY if coin.funding_entry_id is None else coin.funding_entry_id
