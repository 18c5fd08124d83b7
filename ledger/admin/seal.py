"""Seals and signed checkpoints in the admin, to be looked at; what anchors a checkpoint is a payout, listed with those."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from unfold.decorators import action, display

from ledger.admin import cells, sources, verifying
from ledger.admin.base import BookAdmin, Table, is_number
from ledger.models import Checkpoint, Seal
from ledger.packs import evidence


class Anchored:
    """The column of seals and checkpoints that says where they are anchored."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the page of the list, with the anchors of its rows."""
        page: Any = super().get_changelist_instance(request)  # type: ignore[misc]
        find_anchors(page.result_list)
        return page

    @display(description="Anchor")
    def anchor(self, row: Any) -> str:
        """Which block holds its hash, with the way to the payout whose tx has it."""
        if not hasattr(row, "place"):
            find_anchors([row])
        if row.place is None:
            return "in no final block yet"
        return sources.about(f"payout:{row.place.payout_id}", f"in block {row.place.block_height:,}")


@admin.register(Seal)
class SealAdmin(Anchored, BookAdmin):
    """The seals, latest first."""

    list_display = ("covers", "adds", "root_hex", "made", "anchor")
    fields = (("covers", "adds"), "root_hex", ("made", "signed"), "anchor")
    actions_list = ("verify",)
    list_select_related = ("checkpoint",)
    ordering = ("-size",)
    search_help_text = "Search by the number of entries that it covers"
    when_empty = "Nothing is sealed yet: entries are sealed within a minute or so of being written."

    @action(
        description="Verify a receipt or a pack", url_path="verify", icon="verified", permissions=["view"]
    )
    def verify(self, request: HttpRequest) -> HttpResponse:
        """Check a file that somebody brings, as its holder would."""
        return verifying.show(self, request)

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
class CheckpointAdmin(Anchored, BookAdmin):
    """The signed heads, latest first."""

    list_display = ("covers", "root_hex", "signed", "anchor")
    fields = (("covers", "signed"), "root_hex", "verifier_key", "text")
    actions_detail = ("note", "ots")
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
        found = evidence.backend().anchor(row)
        anchored = []
        if found is not None:
            beside = found.beside
            block = cells.place(beside["block_height"], beside["block_hash"])
            anchored = [(cells.whole(beside["txid"]), block)]
        return [
            Table("Witnesses", ("Key", "Added", "Line"), witnesses, "No witness has signed it."),
            Table("Anchor", ("Tx", "Block"), anchored, "No final block holds its hash yet."),
        ]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer the note, and the proof where a block holds its hash."""
        row: Any = self.get_object(request, str(object_id))
        if row is None:
            return []
        has_proof = evidence.backend().anchor(row) is not None
        return [self.get_unfold_action(name) for name in (("note", "ots") if has_proof else ("note",))]

    @action(description="Download note", url_path="note", icon="download", permissions=["view"])
    def note(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Hand out the note as it was signed, whose SHA-256 is anchored."""
        row = self._row(request, object_id)
        return _as_file(row.note.encode(), f"checkpoint-{row.seal.size}")

    @action(description="Download .ots", url_path="ots", icon="download", permissions=["view"])
    def ots(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Hand out the OpenTimestamps proof of the note."""
        row = self._row(request, object_id)
        found = evidence.backend().anchor(row)
        if found is None:
            raise Http404("No final block holds its hash yet.")
        return _as_file(found.ots, f"checkpoint-{found.size}.ots")

    def _row(self, request: HttpRequest, object_id: str) -> Checkpoint:
        row: Any = self.get_object(request, object_id)
        if row is None:
            raise Http404(f"There is no checkpoint {object_id}.")
        return row  # type: ignore[no-any-return]

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
        """Return the note as it was signed, line by line."""
        return cells.lines(row.note)


def find_anchors(rows: Iterable[Any]) -> None:
    """Give seals and checkpoints their ``place``: which final block holds the hash, or None; one statement for all."""
    heads = {row: row if isinstance(row, Checkpoint) else getattr(row, "checkpoint", None) for row in rows}
    found = evidence.backend().anchored([head.pk for head in heads.values() if head is not None])
    for row, head in heads.items():
        row.place = None if head is None else found.get(head.pk)


def _as_file(content: bytes, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
