"""Keeps the file of an import in the database, encrypted and in parts, and hands its refused rows back as CSV."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain, compress, islice
from typing import Any, BinaryIO

from django.conf import settings
from django.db import connection

from govpay.errors import InvalidInput
from ledger.exports import spreadsheet
from payments.models import ImportJob, ImportPart
from payments.models.encrypted import decrypt_bytes, encryptor
from payments.models.intake import IntakeKind
from payments.models.program import SAT
from payments.prices import currency
from payments.services import intake, lists, people

# What a worker checks in one database transaction, and goes on after when it died: some thousand rows.
PART_BYTES = 512 * 1024
# What a file must have, and what it may have besides.
COLUMNS: dict[str, tuple[str, ...]] = {IntakeKind.PEOPLE: people.COLUMNS, IntakeKind.LINES: lists.COLUMNS}
OPTIONAL: dict[str, tuple[str, ...]] = {IntakeKind.PEOPLE: people.OPTIONAL, IntakeKind.LINES: ()}
# The example's address is nobody's: a script of zeros, so that a template that was uploaded as it is pays no one.
_EXAMPLES: dict[str, tuple[str, ...]] = {
    IntakeKind.PEOPLE: (
        "PEN-000001",
        "35202-1234567-1",
        "Ayesha Bibi",
        "03001234567",
        "the person's address",
        "",
        "",
    ),
    IntakeKind.LINES: ("PEN-000001", "51601"),
}
# Lists of money, whatever its currency: amounts in minor units.
_OF_MONEY, _EXAMPLE_OF_MONEY = ("reference", "amount_minor"), ("PEN-000001", "1450000")
# Every row that is refused, with its faults; of some rows of a very bad file none was kept.
_REFUSED = """
SELECT r.row, coalesce(string_agg(f.code, '; ' ORDER BY f.id), 'error_not_kept'),
    coalesce(string_agg(CASE f.column WHEN '' THEN '' ELSE f.column || ': ' END || f.message, ' ' ORDER BY f.id),
        'The row is refused; the file has more errors than are kept.')
FROM (SELECT row FROM payments_importrow WHERE job_id = %(job)s AND is_bad
    UNION SELECT row FROM payments_importfault WHERE job_id = %(job)s) r
LEFT JOIN payments_importfault f ON f.job_id = %(job)s AND f.row = r.row
GROUP BY r.row ORDER BY r.row
"""


class FileTooLarge(InvalidInput):
    """The file has more than GOVPAY_IMPORT_MAX_BYTES."""

    code = "file_too_large"
    http_status = 413


def store(job: ImportJob, file: BinaryIO) -> None:
    """Write the file's parts, and its size, hash and lines into the job; raise FileTooLarge."""
    digest, size, lines = hashlib.sha256(), 0, 0
    for number, data in enumerate(iter(lambda: file.read(PART_BYTES), b"")):
        size += len(data)
        if size > settings.GOVPAY_IMPORT_MAX_BYTES:
            most = f"{settings.GOVPAY_IMPORT_MAX_BYTES:,}"
            raise FileTooLarge(f"The file has more than {most} bytes; split it.")
        digest.update(data)
        lines += data.count(b"\n")
        ImportPart.objects.create(job=job, number=number, data=encryptor(_context(job.pk, number))(data))
    job.size_bytes, job.sha256, job.rows_total = size, digest.digest(), max(lines - 1, 0)
    job.save(update_fields=["size_bytes", "sha256", "rows_total"])


class Stored:
    """The file of an import, read from its start; ``number`` is the part that was read last."""

    def __init__(self, job_id: int) -> None:
        self.number = -1
        self._job_id = job_id
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes of one part; nothing at the end."""
        if not self._rest:
            part = ImportPart.objects.filter(job_id=self._job_id, number=self.number + 1)
            data: Any = part.values_list("data", flat=True).first()
            if data is None:
                return b""
            self.number += 1
            self._rest = memoryview(decrypt_bytes(bytes(data), _context(self._job_id, self.number)))
        size = len(self._rest) if size < 0 else size
        found, self._rest = self._rest[:size], self._rest[size:]
        return bytes(found)


def columns(job: ImportJob) -> tuple[str, ...]:
    """Return what a job's file must have: of a list the amounts in its program's own unit."""
    return lists.columns(job.program) if job.kind == IntakeKind.LINES else COLUMNS[job.kind]


def source(job: ImportJob, faults: intake.Faults) -> tuple[intake.CsvSource, Stored]:
    """Return the job's rows, and the file that they are read from."""
    file = Stored(job.pk)
    reader: Any = file
    return intake.CsvSource(reader, columns(job), faults, optional=OPTIONAL[job.kind]), file


def errors(job: ImportJob) -> Iterator[str]:
    """Yield the rows that were refused as CSV: their own columns, ``code`` and ``message``; harmless to spreadsheets."""
    reader, _ = source(job, intake.Faults())
    rows = iter(reader)
    # With the first row the header was read.
    first = list(islice(rows, 1))
    there = list(compress(columns(job) + OPTIONAL[job.kind], reader.there))
    yield spreadsheet.line((*there, "code", "message"))
    nothing = ("",) * len(there)
    refused = _refused(job.pk)
    bad = next(refused, None)
    for row, values in chain(first, rows):
        while bad is not None and bad[0] <= row:
            fitted = list(compress(values, reader.there)) or _fitted(reader.misfit, len(there))
            own = fitted if bad[0] == row else nothing
            yield _line(own, *bad)
            bad = next(refused, None)
        if bad is None:
            return
    while bad is not None:
        yield _line(nothing, *bad)
        bad = next(refused, None)


def template(kind: str, code: str = SAT) -> str:
    """Return a file to fill in: the header and a row that shows what belongs where; of lists one in this currency.

    Raises InvalidInput for a currency that no program has.
    """
    if code != SAT and code not in currency.SCALES:
        message = f"{code[:10]!r} is no currency of ISO 4217, and not {SAT}."
        raise InvalidInput.of("currency", "currency_unknown", message)
    if kind == IntakeKind.LINES and code != SAT:
        return spreadsheet.line(_OF_MONEY) + spreadsheet.line(_EXAMPLE_OF_MONEY)
    return spreadsheet.line(COLUMNS[kind] + OPTIONAL[kind]) + spreadsheet.line(_EXAMPLES[kind])


def _refused(job_id: int) -> Iterator[tuple[int, str, str]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(_REFUSED, {"job": job_id})
        while rows := cursor.fetchmany(2_000):
            yield from rows


def _line(own: Sequence[str], row: int, code: str, message: str) -> str:
    where = f"Row {row}: " if row else ""
    return spreadsheet.line((*own, code, f"{where}{message}"))


def _fitted(values: Sequence[str], width: int) -> list[str]:
    return [*islice([*values, *[""] * width], width)]


def _context(job_id: int, number: int) -> str:
    """Ties a part to its place: it cannot be read as another one."""
    return f"import.part.{job_id}.{number}"
