"""Stages the rows of files and lists in the database, and records what was refused and why."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from django.contrib.auth.models import User
from django.db import connection

from ledger import audit
from payments.models import Intake, IntakeError
from payments.models.intake import IntakeStatus

ROWS_A_WRITE = 500
# A file of a million bad rows keeps this many errors; ``rows_refused`` has the true number.
MAX_KEPT = 10_000
MAX_FILENAME = 200

Progress = Callable[[int], None]


class Fault(NamedTuple):
    """One broken rule: row (the first data row is 1, the file itself 0), column, code and message."""

    row: int
    column: str
    code: str
    message: str


class Faults:
    """What was found wrong, up to MAX_KEPT of it; ``is_whole_file`` says that no row may be taken."""

    def __init__(self) -> None:
        self.kept: list[Fault] = []
        self.is_whole_file = False

    def add(self, row: int, column: str, code: str, message: str) -> None:
        """Note a broken rule of one row."""
        if len(self.kept) < MAX_KEPT:
            self.kept.append(Fault(row, column, code, message))

    def add_file(self, column: str, code: str, message: str, row: int = 0) -> None:
        """Note what makes the whole file worthless; it is kept before everything else."""
        self.is_whole_file = True
        self.kept.insert(0, Fault(row, column, code, message))

    @property
    def room(self) -> int:
        """How many more are kept."""
        return max(0, MAX_KEPT - len(self.kept))

    def as_errors(self) -> list[dict[str, Any]]:
        """Return them as ``InvalidInput`` carries them."""
        return [fault._asdict() for fault in sorted(self.kept, key=itemgetter(0))]


class Source(Protocol):
    """Where rows come from: iterated once, it yields row numbers and values; then it knows its hash."""

    row_count: int

    def __iter__(self) -> Iterator[tuple[int, Sequence[Any]]]: ...

    def digest(self) -> bytes:
        """Return the SHA-256 of everything there was to read."""


class Seen:
    """What is known of a source that was read before."""

    def __init__(self, row_count: int, sha256: bytes) -> None:
        self.row_count = row_count
        self._sha256 = sha256

    def __iter__(self) -> Iterator[tuple[int, Sequence[Any]]]:
        return iter(())

    def digest(self) -> bytes:
        return self._sha256


def stage(table: str, columns: str, lines: Iterable[str], progress: Progress | None = None) -> None:
    """COPY ready text lines into a table, a block at a time, while the next block is being made."""
    lines = iter(lines)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        done = 0
        while batch := list(islice(lines, ROWS_A_WRITE)):
            copy.write("".join(batch).encode())
            done += len(batch)
            if progress is not None:
                progress(done)


Check = tuple[str, str, str, str]


def check(table: str, checks: Iterable[Check], parameters: Mapping[str, Any], faults: Faults) -> None:
    """Run each check over a staging table, mark the rows it finds bad, and note them.

    A check is a code, a column, a message and a SELECT of the bad row and, where there is one, the row that
    came first and counts. Tables and texts are the program's own, values go by ``parameters``.
    """
    with connection.cursor() as cursor:
        for code, column, message, query in checks:
            found = f"({query}) AS found(row, first)"
            values = {**parameters, "limit": max(faults.room, 1)}
            cursor.execute(f"SELECT row, first FROM {found} ORDER BY row LIMIT %(limit)s", values)  # noqa: S608
            rows = cursor.fetchall()
            if not rows:
                continue
            for row, first in rows:
                also = f" (also in row {first})." if first is not None else "."
                faults.add(row, column, code, message + also)
            cursor.execute(
                f"UPDATE {table} SET is_bad = true WHERE row IN (SELECT row FROM {found})",  # noqa: S608
                parameters,
            )


def count_bad(table: str) -> int:
    """Return how many rows of a staging table are bad."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE is_bad")  # noqa: S608
        (count,) = cursor.fetchone()
    return int(count)


def safe_name(filename: str) -> str:
    """Return a file's name without folders and characters that cannot be seen."""
    name = "".join(c for c in filename.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable())
    return name[:MAX_FILENAME]


def record(
    *,
    by: User,
    program_id: int,
    kind: str,
    filename: str,
    source: Source,
    refused: int,
    loaded: int,
    faults: Faults,
) -> Intake:
    """Write what became of a file; it is loaded when any row was."""
    intake = Intake.objects.create(
        program_id=program_id,
        kind=kind,
        status=IntakeStatus.LOADED if loaded else IntakeStatus.REFUSED,
        filename=safe_name(filename),
        sha256=source.digest(),
        rows_total=source.row_count,
        rows_loaded=loaded,
        rows_refused=refused,
        created_by=by,
    )
    IntakeError.objects.bulk_create(
        (IntakeError(intake=intake, **fault) for fault in faults.as_errors()), batch_size=1_000
    )
    act = "intake.load" if loaded else "intake.refuse"
    audit.record(act, intake, by=by, scope=intake.program.scope)
    return intake
