"""Signs a report: the SHA-256 of its file in a note (C2SP) by the key that signs checkpoints, both in one archive.

The text of the note has four lines: the log's name with /report behind it, the report's name, what was asked as JSON, and
the hash in hex. No checkpoint looks like this: its second line is a number.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from govpay.errors import Conflict
from ledger.reports import files, pdf, words
from ledger.reports.table import Table
from ledger.seals import checkpoints, note

# Archives know no earlier time; with a fixed one, equal contents are equal bytes.
STAMP = (1980, 1, 1, 0, 0, 0)


class ReportRefused(note.NoteRefused):
    """The file is not the one that was signed."""

    code = "report_refused"


class TimeNotOver(Conflict):
    """More may take effect in the time of which a report is asked, so that nobody signs it."""

    code = "time_not_over"


def sign(name: str, asked: Mapping[str, Any], document: bytes) -> str:
    """Return the note over a file, which says what it tells and what was asked; raise checkpoints.NoSealKey."""
    key = checkpoints.signer()
    question = json.dumps(asked, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    text = f"{key.name}/report\n{name}\n{question}\n{hashlib.sha256(document).hexdigest()}\n"
    return str(note.Note(text, (key.sign(text),)))


def check(document: bytes, signed: str, verifier: note.Verifier) -> None:
    """Raise note.NoteRefused unless the key signed this note and the note is of these bytes."""
    found = note.Note.parse(signed)
    found.require(verifier)
    lines = found.text.split("\n")
    if len(lines) != 5 or lines[0] != f"{verifier.name}/report":
        raise ReportRefused("This note is not of a report.")
    if lines[3] != hashlib.sha256(document).hexdigest():
        raise ReportRefused("This is not the file that was signed.")


def write(table: Table) -> bytes:
    """Return an archive of the PDF and the note; raise TimeNotOver, checkpoints.NoSealKey, pdf.TooLong."""
    # Before the work, not after it.
    if not table.asked.is_over:
        raise TimeNotOver(
            f"{table.report.title} is signed once its time is over; it ends at {words.when(table.asked.before)}.",
            ends_at=table.asked.before.isoformat(),
        )
    checkpoints.signer()
    document = pdf.write(table)
    name = f"{table.report.name}.pdf"
    signed = sign(table.report.name, files.describe(table), document)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in ((name, document), (f"{name}.note", signed.encode())):
            archive.writestr(zipfile.ZipInfo(path, STAMP), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
