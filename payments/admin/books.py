"""The way from a list, a payout or a payment to its entries in the books, for those who read the books."""

from typing import Any
from urllib.parse import quote

from django.db.models import QuerySet
from django.http import HttpRequest

from ledger import selectors
from ledger.admin.base import READ
from ledger.admin.cells import in_words, sums
from ledger.models import Entry, Posting
from payments.admin import cells
from payments.admin.tables import SHOWN, Table

TITLE = "In the books"


def of_source(request: HttpRequest, source_ref: str) -> list[Table]:
    """Return the entries that were posted for something such as payout:12."""
    if not request.user.has_perm(READ):
        return []
    entries: QuerySet[Any, Any] = selectors.entries_with_debits().filter(source_ref=source_ref).order_by("pk")
    rows = [
        (
            cells.link(entry, f"Entry {entry.pk}"),
            entry.kind.replace("_", " "),
            cells.moment(entry.effective_at),
            cells.figure(sums(entry.debits)),
        )
        for entry in entries[:SHOWN]
    ]
    headers = ("Entry", "Kind", "Effective", "Debits in all")
    more = cells.list_of(Entry, q=quote(source_ref))
    return [Table(TITLE, headers, rows, "Nothing is booked yet.", more, "Open in the journal")]


def of_payment(request: HttpRequest, payment_id: int) -> list[Table]:
    """Return the lines of entries that name a payment."""
    if not request.user.has_perm(READ):
        return []
    lines = Posting.objects.filter(reference=payment_id).select_related("entry", "account").order_by("pk")
    rows = [
        (
            cells.link(line.entry, f"Entry {line.entry_id}"),
            line.entry.kind.replace("_", " "),
            cells.moment(line.entry.effective_at),
            cells.link(line.account, line.account.code),
            line.get_layer_display(),
            cells.figure(in_words(line.amount, line.account.currency, line.account.scale)),
        )
        for line in lines[:SHOWN]
    ]
    headers = ("Entry", "Kind", "Effective", "Account", "Layer", "Amount")
    more = cells.list_of(Posting, payment=payment_id)
    return [Table(TITLE, headers, rows, "Nothing is booked yet.", more, "Open in the journal")]
