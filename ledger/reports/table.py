"""A report that was asked for: its rows as they come from the server, and what they rest on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection

from ledger.exports.source import snapshot
from ledger.models import Checkpoint
from ledger.reports.asked import Asked
from ledger.reports.report import Report
from ledger.seals import checkpoints

AT_ONCE = 2_000


class Basis(NamedTuple):
    """The newest checkpoint that was signed by then: so many leaves, sealed under this head."""

    size: int
    head: bytes
    note_digest: bytes


@dataclass(frozen=True)
class Table:
    """A report, what was asked, the checkpoint that stood then (None: nothing was signed yet), and the rows."""

    report: Report
    asked: Asked
    basis: Basis | None
    rows: Iterator[tuple[Any, ...]]

    def place(self, name: str) -> int:
        """Return where a column stands in a row."""
        return [column.name for column in self.report.columns].index(name)


@contextmanager
def tabulate(report: Report, asked: Asked) -> Iterator[Table]:
    """Read a report in one snapshot of the books: its rows are read as they are taken, however many there are."""
    with snapshot(), connection.chunked_cursor() as cursor:
        cursor.execute(report.sql, asked.values())
        rows = _rows(cursor)
        yield Table(
            report, asked, _basis(asked), rows if report.derive is None else report.derive(rows, asked)
        )


def _rows(cursor: Any) -> Iterator[tuple[Any, ...]]:
    while chunk := cursor.fetchmany(AT_ONCE):
        yield from chunk


def _basis(asked: Asked) -> Basis | None:
    found = (
        Checkpoint.objects.select_related("seal")
        .filter(signed_at__lte=asked.known_at)
        .order_by("-seal__size")
        .first()
    )
    if found is None:
        return None
    return Basis(found.seal.size, bytes(found.seal.root), checkpoints.digest(found))
