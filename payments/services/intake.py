"""Reads files and lists as streams, stages their rows in the database, and records what was refused and why."""

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, BinaryIO, NamedTuple, Protocol

from django.contrib.auth.models import User
from django.db import connection

from ledger import audit
from payments.models import Intake, IntakeError
from payments.models.intake import IntakeStatus

BLOCK_BYTES = 64 * 1024
MAX_LINE = 64 * 1024
ROWS_A_WRITE = 500
# A file of a million bad rows keeps this many errors; ``rows_refused`` has the true number.
MAX_KEPT = 10_000
MAX_FILENAME = 200
MAX_COLUMNS = 50
_SAFE_COLUMN = re.compile(r"[a-z_]{1,40}")

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


class _Broken(Exception):
    """The rest of the file cannot be read."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CsvSource:
    """The rows of a UTF-8 CSV file with a header, in the order of ``columns`` and ``optional`` whatever the file's order.

    A column of ``optional`` that the file lacks is empty in every row; ``there`` says which columns it has. Memory holds one
    block and one row. A blank line counts in the row numbers and is no row. A row of another width than the header's is
    yielded without values; ``misfit`` has them.
    """

    def __init__(
        self, file: BinaryIO, columns: tuple[str, ...], faults: Faults, *, optional: tuple[str, ...] = ()
    ) -> None:
        self.row_count = 0
        self.misfit: list[str] = []
        self._read = file.read
        self._columns = columns + optional
        self._optional = optional
        self.there = [name not in optional for name in self._columns]
        self._faults = faults
        self._sha256 = hashlib.sha256()

    def __iter__(self) -> Iterator[tuple[int, Sequence[str]]]:
        row = -1  # Of the header; the first row of data is 1.
        reader = csv.reader(self._lines(), strict=True)
        try:
            header = next(reader, None)
            if header is None:
                raise _Broken("file_empty", "The file is empty.")
            pick = self._pick(header)
            if pick is None:
                return
            width = len(header)
            row = 0
            for values in reader:
                row += 1
                if len(values) == width:
                    self.row_count += 1
                    yield row, pick(values)
                elif values:
                    self.row_count += 1
                    message = f"The row has {len(values)} fields, not {width}."
                    self._faults.add(row, "", "row_width", message)
                    self.misfit = values
                    yield row, ()
        except _Broken as broken:
            self._faults.add_file("", broken.code, str(broken), row + 1)
        except csv.Error as error:
            code, message = _explain(error)
            self._faults.add_file("", code, message, row + 1)
        else:
            if self.row_count == 0:
                self._faults.add_file("", "file_empty", "The file has a header and no rows.")

    def digest(self) -> bytes:
        while block := self._read(BLOCK_BYTES):
            self._sha256.update(block)
        return self._sha256.digest()

    def _lines(self) -> Iterator[str]:
        rest = b""
        is_first = True
        while block := self._read(BLOCK_BYTES):
            self._sha256.update(block)
            if is_first:
                block = _without_mark(block)
                is_first = False
            head, newline, tail = block.rpartition(b"\n")
            if newline:
                yield from _decode(rest + head + newline)
                rest = tail
            else:
                rest += tail
            if len(rest) > MAX_LINE:
                raise _Broken("line_too_long", f"A line is longer than {MAX_LINE} bytes.")
        if rest:
            yield from _decode(rest)

    def _pick(self, header: list[str]) -> Callable[[list[str]], Sequence[str]] | None:
        """Return what puts a row in our order, or None after noting what is wrong with the header."""
        wrong = self._faults.add_file
        if len(header) > MAX_COLUMNS:
            wrong("", "column_unknown", f"The header has {len(header)} columns.")
            return None
        for position, name in enumerate(header, start=1):
            # A file without a header shows a person's data here, so only what looks like a name is repeated.
            shown = name if _SAFE_COLUMN.fullmatch(name) else f"column {position}"
            if name not in self._columns:
                wrong(shown, "column_unknown", f"The columns are {', '.join(self._columns)}; this is none.")
            elif name in header[: position - 1]:
                wrong(shown, "column_repeated", "The column is there twice.")
        missing = [name for name in self._columns if name not in header]
        for name in missing:
            if name not in self._optional:
                wrong(name, "column_missing", "The column is missing.")
        if self._faults.is_whole_file:
            return None
        self.there = [name not in missing for name in self._columns]
        if tuple(header) == self._columns:
            return list
        if not missing:
            return itemgetter(*(header.index(name) for name in self._columns))
        # Behind the row's own values is an empty one, for each column that is not there.
        places = [len(header) if name in missing else header.index(name) for name in self._columns]
        pick = itemgetter(*places)
        return lambda values: pick([*values, ""])


def _without_mark(block: bytes) -> bytes:
    if block[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _Broken("encoding", "The file is UTF-16; save it as UTF-8.")
    return block.removeprefix(b"\xef\xbb\xbf")


def _decode(chunk: bytes) -> Iterator[str]:
    """Yield the lines of a chunk, those before a bad one included, so that its row can be named."""
    try:
        lines = list(io.StringIO(chunk.decode(), newline="\n"))
        is_good = b"\0" not in chunk and max(map(len, lines)) <= MAX_LINE
    except UnicodeDecodeError:
        is_good = False
    if is_good:
        yield from lines
        return
    for line in io.BytesIO(chunk):
        yield _decode_line(line)


def _decode_line(line: bytes) -> str:
    if b"\0" in line:
        raise _Broken("nul_byte", "The row has a NUL byte: the file is damaged, or not UTF-8 text.")
    if len(line) > MAX_LINE:
        raise _Broken("line_too_long", f"A line is longer than {MAX_LINE} bytes.")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise _Broken("encoding", "The row is not UTF-8 text; save the file as UTF-8.") from None


def _explain(error: csv.Error) -> tuple[str, str]:
    text = str(error)
    if "field larger" in text:
        return "field_too_long", "A field does not end: is a quotation mark missing?"
    if "new-line" in text:
        return "line_end_malformed", "A line ends with a carriage return alone; end lines with CRLF or LF."
    return "quote_malformed", "A quotation mark is not closed, or text follows a closed one."


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
