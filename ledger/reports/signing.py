"""Signs a report: the SHA-256 of its PDF in a note (C2SP) by the key that signs checkpoints, both in one archive.

The text of the note has four lines: the log's name with /report behind it, the report's name, what was asked as JSON, and
the hash in hex. No checkpoint looks like this: its second line is a number.
"""

import hashlib
import io
import json
import zipfile

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


def sign(table: Table, document: bytes) -> str:
    """Return the note over a report's PDF; raise checkpoints.NoSealKey."""
    key = checkpoints.signer()
    asked = json.dumps(files.describe(table), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    text = f"{key.name}/report\n{table.report.name}\n{asked}\n{hashlib.sha256(document).hexdigest()}\n"
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
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in ((name, document), (f"{name}.note", sign(table, document).encode())):
            archive.writestr(zipfile.ZipInfo(path, STAMP), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
