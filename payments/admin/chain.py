"""What was read of the chain, and the node's last state, in the admin."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from govpay.said import said
from payments.admin import cells
from payments.admin.base import ProgramScopedAdmin, is_hash, is_number
from payments.admin.filters import ProgramFilter
from payments.models import Block, ChainFact, NodeStatus


@admin.register(Block)
class BlockAdmin(ProgramScopedAdmin):
    """The blocks that were read; they belong to no program, so every member sees them."""

    noun = "Block"
    list_display = ("height", "hash", "state", "mined", "read")
    date_hierarchy = "time"
    search_fields = ("block_hash",)
    search_help_text = "Search by block hash or height"
    ordering = ("-height", "-pk")
    fields = ("height", "hash_whole", "previous", "state", "mined", "read")
    when_empty = "No block was read yet: the engine reads them from the node once it answers."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Block]:
        """Return all blocks."""
        return Block.objects.all()

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by hash or height."""
        if is_number(term) and len(term) < 10:
            return Q(height=int(term))
        return Q(block_hash=term.lower())

    @display(description="hash")
    def hash(self, block: Block) -> str:
        """The hash, shortened."""
        return cells.short(block.block_hash)

    @display(description="hash")
    def hash_whole(self, block: Block) -> str:
        """The hash."""
        return cells.whole(block.block_hash)

    @display(description="after")
    def previous(self, block: Block) -> str:
        """The block before it."""
        return cells.whole(block.prev_hash)

    @display(description="state")
    def state(self, block: Block) -> str:
        """Whether a reorganization took it away."""
        if block.is_active:
            return cells.label("", "active", cells.GOOD)
        return cells.label("", "taken back", cells.BUSY)

    @display(description="time in the block")
    def mined(self, block: Block) -> str:
        """The time that the miner wrote."""
        return cells.moment(block.time)

    @display(description="read")
    def read(self, block: Block) -> str:
        """When the engine read it."""
        return cells.moment(block.read_at)


@admin.register(ChainFact)
class ChainFactAdmin(ProgramScopedAdmin):
    """What blocks did to the txs of the user's programs."""

    noun = "Fact"
    program_path = "wallet__program"
    list_display = ("tx", "kind_name", "program", "block_height", "hash", "noted")
    list_filter = (ProgramFilter, ("kind", ChoicesDropdownFilter))
    list_select_related = ("wallet__program",)
    date_hierarchy = "at"
    search_fields = ("txid",)
    search_help_text = "Search by txid or block hash"
    fields = ("tx_whole", "kind_name", "program", "block_height", "hash_whole", "noted")
    when_empty = "No tx of these programs was in a block yet."

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by txid or block hash."""
        return Q(txid=term.lower()) | Q(block_hash=term.lower()) if is_hash(term) else Q(pk__in=[])

    @display(description="tx")
    def tx(self, fact: ChainFact) -> str:
        """The txid, shortened."""
        return cells.short(fact.txid)

    @display(description="txid")
    def tx_whole(self, fact: ChainFact) -> str:
        """The txid."""
        return cells.whole(fact.txid)

    @display(description="what")
    def kind_name(self, fact: ChainFact) -> str:
        """Mined or taken back."""
        return cells.label(
            fact.kind, fact.get_kind_display(), cells.GOOD if fact.kind == "mined" else cells.BUSY
        )

    @display(description="program")
    def program(self, fact: ChainFact) -> str:
        """The program."""
        return str(fact.wallet.program)

    @display(description="block")
    def hash(self, fact: ChainFact) -> str:
        """The block, shortened."""
        return cells.short(fact.block_hash)

    @display(description="block")
    def hash_whole(self, fact: ChainFact) -> str:
        """The block."""
        return cells.whole(fact.block_hash)

    @display(description="noted")
    def noted(self, fact: ChainFact) -> str:
        """When the engine noted it."""
        return cells.moment(fact.at)


@admin.register(NodeStatus)
class NodeStatusAdmin(ProgramScopedAdmin):
    """The last look at the node; it belongs to no program, so every member sees it."""

    list_display = ("network", "state", "message_text", "block_height", "looked")
    fields = ("network", "state", "code", "message_text", "subversion", "block_height", "tip", "looked")
    search_fields = ()
    when_empty = "The engine has not looked at the node yet: are the workers running?"

    def get_queryset(self, request: HttpRequest) -> QuerySet[NodeStatus]:
        """Return the one row."""
        return NodeStatus.objects.all()

    @display(description="state")
    def state(self, status: NodeStatus) -> str:
        """Whether it can be worked with."""
        if status.is_ok:
            return cells.label("", "ready", cells.GOOD)
        return cells.label("", "not usable", cells.BAD)

    @display(description="message")
    def message_text(self, status: NodeStatus) -> str:
        """What is wrong with it."""
        return cells.problem(said(status.message)) or cells.EMPTY

    @display(description="tip")
    def tip(self, status: NodeStatus) -> str:
        """Its last block."""
        return cells.whole(status.block_hash)

    @display(description="looked at")
    def looked(self, status: NodeStatus) -> str:
        """When the engine looked."""
        return cells.moment(status.checked_at)
