"""The wrong rows of a file in place: each with its own values, and what is wrong beside the value that is."""

from dataclasses import dataclass
from typing import Any

from govpay.said import said
from payments.admin import cells
from payments.models import ImportJob
from payments.services import import_files, imports
from payments.states import ImportStatus

LOOKED_AT = (ImportStatus.READY, ImportStatus.REFUSED, ImportStatus.DONE)

NOT_READ = (
    "A row without values cannot be read, or is so far down that only the file of errors has its values."
)


@dataclass(frozen=True)
class Cell:
    """A value under its column, and code and message of what is wrong with it."""

    label: str
    value: str
    faults: list[tuple[str, str]]


@dataclass(frozen=True)
class Shown:
    """What is wrong with the file itself, and the table of its rows."""

    title: str
    of_file: list[tuple[str, str]]
    fields: list[str]
    rows: list[list[Cell]]
    more_url: str
    note: str


def of_job(by: Any, job: ImportJob) -> Shown | None:
    """Return the first wrong rows of a file that is there still, to an officer; None where nothing is wrong."""
    is_wrong = job.errors_count > 0 or job.code != ""
    if job.status not in LOOKED_AT or job.emptied_at is not None or not is_wrong:
        return None
    fields, found = imports.bad_rows(by=by, job_id=job.pk)
    rows = [_cells(fields, bad) for bad in found if bad.row]
    most = import_files.SHOWN_BAD
    return Shown(
        title=f"What is wrong with the first {most} wrong rows" if len(found) == most else "What is wrong",
        of_file=[_said(*fault) for bad in found if not bad.row for fault in bad.faults],
        fields=fields,
        rows=rows,
        more_url=cells.page_of(job).replace("/change/", "/errors/"),
        note="" if all(bad.values for bad in found if bad.row) else NOT_READ,
    )


def _cells(fields: list[str], bad: import_files.BadRow) -> list[Cell]:
    """What is wrong with a row as such stands with its number."""
    values = [
        Cell(field, value, [(code, said(message)) for column, code, message in bad.faults if column == field])
        for field, value in zip(fields, bad.values or [""] * len(fields), strict=True)
    ]
    of_row = [_said(*fault) for fault in bad.faults if fault[0] not in fields]
    return [Cell("Row", f"{bad.row:,}", of_row), *values]


def _said(column: str, code: str, message: str) -> tuple[str, str]:
    return code, f"{column}: {said(message)}" if column else said(message)
