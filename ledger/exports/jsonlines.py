"""The journal as JSON lines: an entry a line, all of it, as the first version of the sealed bytes writes it.

Whole numbers that may pass 2**53 are decimal text, because many readers of JSON would round them.
"""

from collections.abc import Iterator

from ledger.exports.form import Form
from ledger.exports.source import Journal
from ledger.seals import canonical

VERSION = "govpay/entry/1"


def write(journal: Journal) -> Iterator[str]:
    """Yield a line an entry: canonical JSON (RFC 8785) with its version inside."""
    for entry in journal.entries:
        yield canonical.encode(entry, VERSION).decode() + "\n"


FORM = Form("jsonl", "jsonl", "application/jsonl", write)
