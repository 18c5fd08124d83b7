"""Keeps the file of an import in the database, encrypted and in parts, and hands its refused rows back."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, islice, takewhile
from typing import Any, BinaryIO, NamedTuple

from django.conf import settings
from django.db import connection

from govpay.errors import InvalidInput
from ledger.exports import spreadsheet
from payments.models import ImportJob, ImportPart
from payments.models.encrypted import decrypt_bytes, encryptor
from payments.models.intake import IntakeKind
from payments.models.program import SAT
from payments.prices import currency
from payments.services import csv_source, intake, lists, people

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
# Every row that is refused, with its faults: of some rows of a very bad file none was kept.
_REFUSED = """
SELECT r.row, coalesce(
    jsonb_agg(jsonb_build_array(f.column, f.code, f.message) ORDER BY f.id) FILTER (WHERE f.id IS NOT NULL), '[]')
FROM (
    SELECT row FROM payments_importrow WHERE job_id = %(job)s AND is_bad
    UNION SELECT row FROM payments_importfault WHERE job_id = %(job)s ORDER BY row LIMIT %(most)s
) r LEFT JOIN payments_importfault f ON f.job_id = %(job)s AND f.row = r.row
GROUP BY r.row ORDER BY r.row
"""
_NOT_KEPT = [("", "error_not_kept", "The row is refused; the file has more errors than are kept.")]
# Of a page; the file of errors has all of them.
SHOWN_BAD, SHOWN_PARTS = 50, 32


class FileTooLarge(InvalidInput):
    """The file has more than GOVPAY_IMPORT_MAX_BYTES."""

    code = "file_too_large"
    http_status = 413


def parts(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file in the pieces in which it is kept."""
    return iter(lambda: file.read(PART_BYTES), b"")


def store(job: ImportJob, parts: Iterable[bytes]) -> None:
    """Write a file's parts, and its size, hash and lines into the job; raise FileTooLarge."""
    digest, size, lines = hashlib.sha256(), 0, 0
    for number, data in enumerate(filter(None, parts)):
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


def fields(job: ImportJob) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a job's file must have, and what it may have besides."""
    return columns(job), OPTIONAL[job.kind]


def source(job: ImportJob, faults: intake.Faults) -> tuple[csv_source.CsvSource, Stored]:
    """Return the job's rows, and the file that they are read from."""
    file = Stored(job.pk)
    reader: Any = file
    rows = csv_source.CsvSource(reader, columns(job), faults, optional=OPTIONAL[job.kind], places=job.columns)
    return rows, file


def first_rows(job: ImportJob, count: int) -> list[list[str]]:
    """Return the file's header and its first rows as they are."""
    reader: Any = Stored(job.pk)
    return csv_source.peek(reader, count)


class BadRow(NamedTuple):
    """A row that is refused (0: the file), its values, none where it was not read, and column, code and message."""

    row: int
    values: Sequence[str]
    faults: list[tuple[str, str, str]]


def errors(job: ImportJob) -> Iterator[str]:
    """Yield the rows that were refused as CSV: their own columns, ``code`` and ``message``; harmless to spreadsheets."""
    there, found = _refused(job)
    nothing = ("",) * len(there)
    yield spreadsheet.line((*there, "code", "message"))
    for row, values, faults in found:
        codes = "; ".join(code for _, code, _ in faults)
        said = " ".join(f"{column}: {message}" if column else message for column, _, message in faults)
        yield spreadsheet.line((*(values or nothing), codes, f"Row {row}: {said}" if row else said))


def bad_rows(job: ImportJob) -> tuple[list[str], list[BadRow]]:
    """Return the fields that the file has, and the first rows that are refused, at most SHOWN_BAD.

    Rows behind the first SHOWN_PARTS of the file come without values: a page does not read all of a large file.
    """
    there, found = _refused(job, SHOWN_BAD, SHOWN_PARTS)
    return there, list(found)


def _refused(
    job: ImportJob, most: int | None = None, most_parts: int | None = None
) -> tuple[list[str], Iterator[BadRow]]:
    reader, file = source(job, intake.Faults())
    rows = iter(reader)
    # With the first row the header was read.
    first = list(islice(rows, 1))
    there = list(compress(sum(fields(job), ()), reader.there))
    near = takewhile(lambda _: most_parts is None or file.number < most_parts, chain(first, rows))
    return there, _matched(reader, near, _faults(job.pk, most))


def _matched(
    reader: csv_source.CsvSource,
    rows: Iterator[tuple[int, Sequence[str]]],
    refused: Iterator[tuple[int, list[tuple[str, str, str]]]],
) -> Iterator[BadRow]:
    bad = next(refused, None)
    for row, values in rows:
        while bad is not None and bad[0] <= row:
            own = list(compress(values or reader.misfit, reader.there))
            yield BadRow(bad[0], own if bad[0] == row else (), bad[1])
            bad = next(refused, None)
        if bad is None:
            return
    while bad is not None:
        yield BadRow(bad[0], (), bad[1])
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


def _faults(job_id: int, most: int | None) -> Iterator[tuple[int, list[tuple[str, str, str]]]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(_REFUSED, {"job": job_id, "most": most})
        while rows := cursor.fetchmany(2_000):
            for row, faults in rows:
                yield row, [tuple(fault) for fault in json.loads(faults)] or _NOT_KEPT


def _context(job_id: int, number: int) -> str:
    """Ties a part to its place: it cannot be read as another one."""
    return f"import.part.{job_id}.{number}"
