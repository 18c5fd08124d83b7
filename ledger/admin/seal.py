"""Seals and signed checkpoints in the admin, to be looked at; what anchors a checkpoint is a payout, listed with those."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from ledger.admin import cells
from ledger.admin.base import BookAdmin, Table, is_number
from ledger.models import Checkpoint, Seal


@admin.register(Seal)
class SealAdmin(BookAdmin):
    """The seals, latest first."""

    list_display = ("covers", "adds", "root_hex", "made")
    fields = (("covers", "adds"), "root_hex", ("made", "signed"))
    list_select_related = ("checkpoint",)
    ordering = ("-size",)
    search_help_text = "Search by the number of entries that it covers"
    when_empty = "Nothing is sealed yet: entries are sealed within a minute or so of being written."

    def find(self, term: str) -> Q:
        """Search by size."""
        return Q(size=int(term)) if is_number(term) else Q(pk__in=[])

    @display(description="Leaves in all")
    def covers(self, row: Seal) -> str:
        """Return the size of the tree."""
        return f"{row.size:,}"

    @display(description="Of them new")
    def adds(self, row: Seal) -> str:
        """Return how many leaves this seal added."""
        return f"{row.size - row.start:,}"

    @display(description="Head of the tree")
    def root_hex(self, row: Seal) -> str:
        """Return the head as hex."""
        return cells.long(bytes(row.root).hex())

    @display(description="Sealed")
    def made(self, row: Seal) -> str:
        """Return when it was made."""
        return cells.moment(row.sealed_at)

    @display(description="Signed")
    def signed(self, row: Seal) -> str:
        """Return when its head was signed, if it was."""
        checkpoint = Checkpoint.objects.filter(seal=row).first()
        return (
            "Not signed; a later head covers it."
            if checkpoint is None
            else cells.moment(checkpoint.signed_at)
        )


@admin.register(Checkpoint)
class CheckpointAdmin(BookAdmin):
    """The signed heads, latest first."""

    list_display = ("covers", "root_hex", "signed")
    fields = (("covers", "signed"), "root_hex", "verifier_key", "text")
    ordering = ("-seal__size",)
    search_help_text = "Search by the number of entries that it covers"
    when_empty = "No head was signed yet: it needs GOVPAY_SEAL_KEY and a seal."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any, Any]:
        """Return the checkpoints with their seals."""
        rows: QuerySet[Any, Any] = super().get_queryset(request).select_related("seal")
        return rows

    def find(self, term: str) -> Q:
        """Search by size."""
        return Q(seal__size=int(term)) if is_number(term) else Q(pk__in=[])

    def tables(self, row: Any) -> list[Table]:
        """Show the witnesses and what anchors it in the chain."""
        witnesses = [
            (cells.long(line.verifier), cells.moment(line.added_at), cells.long(line.line))
            for line in row.cosignatures.order_by("pk")
        ]
        return [Table("Witnesses", ("Key", "Added", "Line"), witnesses, "No witness has signed it.")]

    @display(description="Leaves in all")
    def covers(self, row: Checkpoint) -> str:
        """Return the size of the tree."""
        return f"{row.seal.size:,}"

    @display(description="Head of the tree")
    def root_hex(self, row: Checkpoint) -> str:
        """Return the head as hex."""
        return cells.long(bytes(row.seal.root).hex())

    @display(description="Signed")
    def signed(self, row: Checkpoint) -> str:
        """Return when it was signed."""
        return cells.moment(row.signed_at)

    @display(description="Key")
    def verifier_key(self, row: Checkpoint) -> str:
        """Return the key that checks it."""
        return cells.long(row.verifier)

    @display(description="Signed note")
    def text(self, row: Checkpoint) -> str:
        """Return the note as it was signed."""
        return cells.long(row.note)
