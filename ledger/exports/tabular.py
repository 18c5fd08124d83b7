"""The journal as CSV: a line of the file for each line of an entry, with all that is known of both.

Amounts are whole units of ``10 ** -scale`` of the currency (satoshis: BTC, 8), debits positive. Texts that a spreadsheet
could take for a formula have an apostrophe in front.
"""

from collections.abc import Iterator

from ledger.exports import spreadsheet
from ledger.exports.form import Form, moment
from ledger.exports.source import Journal
from ledger.models import Elements
from ledger.seals.canonical import SealedEntry

COLUMNS = (
    "entry_id",
    "kind",
    "scope",
    "effective_at",
    "original_at",
    "recorded_at",
    "account",
    "account_name",
    *Elements._fields,
    "layer",
    "currency",
    "scale",
    "amount",
    "reference",
    "source_ref",
    "memo",
    "actor",
    "approver",
    "block_height",
    "block_hash",
    "reversal_of",
    "idempotency_key",
)


def write(journal: Journal) -> Iterator[str]:
    """Yield the head, and the lines of each entry."""
    names = {total.code: total.name for total in journal.totals}
    yield spreadsheet.line(COLUMNS)
    for entry in journal.entries:
        yield "".join(_lines(entry, names))


def _lines(entry: SealedEntry, names: dict[str, str]) -> Iterator[str]:
    head: list[str | int | None] = [entry.id, entry.kind, entry.scope]
    head += [moment(entry.effective_at), moment(entry.original_at), moment(entry.recorded_at)]
    tail: list[str | int | None] = [entry.source_ref, entry.memo, entry.actor, entry.approver]
    tail += [entry.block_height, entry.block_hash, entry.reversal_of, entry.idempotency_key]
    for line in entry.lines:
        yield spreadsheet.line(
            [
                *head,
                line.account,
                names[line.account],
                *line.elements,
                line.layer,
                line.currency,
                line.scale,
                line.amount,
                line.reference,
                *tail,
            ]
        )


FORM = Form("csv", "csv", "text/csv", write)
