"""Journal entries and their lines in the admin."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import action, display

from ledger import selectors
from ledger.admin import cells, sources
from ledger.admin.base import BookAdmin, Table, is_number
from ledger.admin.filters import KindFilter, ScopeFilter, by_number
from ledger.admin.redaction import ASK
from ledger.models import Account, Entry, Posting
from ledger.seals import redaction

SHOWN = 100


@admin.register(Entry)
class EntryAdmin(BookAdmin):
    """The journal, latest first."""

    list_display = ("number", "type", "of_scope", "amount", "lines", "about", "effective", "state")
    list_filter = (ScopeFilter, KindFilter, ("effective_at", RangeDateTimeFilter))
    search_fields = ("source_ref",)
    search_help_text = "Search by number, source (payout:12) or idempotency key"
    actions_detail = ("redact",)
    when_empty = "Nothing is booked yet. The first deposit or approved list makes the first entry."
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("type", "of_scope", "state"),
                    ("amount", "lines", "about"),
                    ("effective", "original"),
                    ("actor", "approver"),
                    "memo",
                )
            },
        ),
        ("Proof", {"fields": ("recorded", "block", "key", "input"), "classes": ("collapse",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any, Any]:
        """Return the entries with their totals."""
        return selectors.entries_with_debits()

    # Named by a method: a permission's own name makes the theme's start-up check ask the database, which may be empty.
    def has_redact_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Let those ask who may black out."""
        return self.may(request, redaction.RIGHT)

    @action(description="Ask for a redaction", url_path="redact", icon="edit_off", permissions=["redact"])
    def redact(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the form, with the number of the entry in it."""
        return redirect(f"{reverse(ASK)}?{urlencode({'entry_id': object_id})}")

    def find(self, term: str) -> Q:
        """Search by number, source or key."""
        found = Q(source_ref=term) | Q(idempotency_key=term)
        return found | Q(pk=int(term)) if is_number(term) else found

    def tables(self, row: Any) -> list[Table]:
        """Show the lines in the order in which they were written."""
        lines = Posting.objects.filter(entry=row).select_related("account").order_by("pk")[:SHOWN]
        title = "Lines" if row.line_count <= SHOWN else f"The first {SHOWN} of {row.line_count:,} lines"
        return [
            Table(
                title,
                ("Account", "Name", "Payment", "Layer", "Debit", "Credit"),
                [
                    (
                        cells.link(cells.page_of(Account, line.account_id), line.account.code),
                        line.account.name,
                        sources.payment(line.reference),
                        line.get_layer_display(),
                        *_sides(line),
                    )
                    for line in lines
                ],
                more_url=cells.list_of(Posting, f"entry={row.pk}"),
            )
        ]

    @display(description="entry")
    def number(self, row: Entry) -> str:
        """The entry's number."""
        return f"Entry {row.pk}"

    @display(description="kind")
    def type(self, row: Entry) -> str:
        """What kind of entry it is."""
        return cells.label(row.kind.replace("_", " "))

    @display(description="amount")
    def amount(self, row: Any) -> str:
        """The sums of its debits, by currency."""
        return cells.amounts(row.debits)

    @display(description="lines")
    def lines(self, row: Any) -> str:
        """How many lines it has."""
        return cells.number(row.line_count)

    @display(description="about")
    def about(self, row: Entry) -> str:
        """What it was posted for."""
        return sources.about(row.source_ref, cells.long(_shortened(row.source_ref)))

    @display(description="effective")
    def effective(self, row: Entry) -> str:
        """When it took effect."""
        return cells.moment(row.effective_at)

    @display(description="original time")
    def original(self, row: Entry) -> str:
        """When a late fact happened, in a period that was closed already."""
        return cells.moment(row.original_at)

    @display(description="recorded")
    def recorded(self, row: Entry) -> str:
        """When it was written."""
        return cells.moment(row.recorded_at)

    @display(description="state")
    def state(self, row: Any) -> str:
        """Whether it is reversed, or reverses another."""
        if row.reversed_by_id is not None:
            return cells.link(cells.page_of(Entry, row.reversed_by_id), f"undone by {row.reversed_by_id}")
        if row.reversal_of_id is not None:
            return cells.link(cells.page_of(Entry, row.reversal_of_id), f"undoes {row.reversal_of_id}")
        return cells.label("stands", cells.GOOD)

    @display(description="block")
    def block(self, row: Entry) -> str:
        """The block that proves it."""
        return cells.EMPTY if not row.block_hash else cells.place(row.block_height, row.block_hash)

    @display(description="idempotency key")
    def key(self, row: Entry) -> str:
        """The key under which it was posted."""
        return cells.whole(row.idempotency_key)

    @display(description="hash of what was posted")
    def input(self, row: Entry) -> str:
        """What must be the same if the key comes again."""
        return cells.whole(bytes(row.input_hash).hex())


@admin.register(Posting)
class PostingAdmin(BookAdmin):
    """Lines of entries, latest first."""

    list_display = ("number", "entry_link", "account_link", "payment", "layer", "debit", "credit")
    list_select_related = ("entry", "account")
    list_filter = (
        by_number("entry", "entry_id"),
        by_number("account", "account_id"),
        by_number("payment", "reference"),
    )
    search_fields = ("reference",)
    search_help_text = "Search by the number of a payment"
    fields = ("number", "entry_link", "account_link", "payment", "layer", "debit", "credit")
    when_empty = "Nothing is booked yet."

    def find(self, term: str) -> Q:
        """Search by payment."""
        return Q(reference=int(term)) if is_number(term) else Q(pk__in=[])

    @display(description="line")
    def number(self, row: Posting) -> str:
        """The line's number."""
        return f"Line {row.pk}"

    @display(description="entry")
    def entry_link(self, row: Posting) -> str:
        """The entry that it belongs to."""
        return cells.link(cells.page_of(Entry, row.entry_id), row.entry)

    @display(description="account")
    def account_link(self, row: Posting) -> str:
        """The account that it moves."""
        return cells.link(cells.page_of(Account, row.account_id), row.account.code)

    @display(description="payment")
    def payment(self, row: Posting) -> str:
        """The payment that it is about."""
        return sources.payment(row.reference)

    @display(description="debit")
    def debit(self, row: Posting) -> str:
        """The amount, where it is a debit."""
        return _sides(row)[0]

    @display(description="credit")
    def credit(self, row: Posting) -> str:
        """The amount, where it is a credit."""
        return _sides(row)[1]


def _sides(line: Posting) -> tuple[str, str]:
    text = cells.amount(abs(line.amount), line.account.currency, line.account.scale)
    return (text, "") if line.amount > 0 else ("", text)


def _shortened(source_ref: str) -> str:
    """Return a source without the middle of a txid, which would fill the row."""
    noun, _, rest = source_ref.partition(":")
    txid, colon, vout = rest.partition(":")
    return f"{noun}:{txid[:8]}…{txid[-6:]}{colon}{vout}" if len(txid) == 64 else source_ref
