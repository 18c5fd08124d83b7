"""Reads CSV files as streams: their header, and each row's values in the order in which they are asked for."""

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import BinaryIO

from payments.services.intake import Faults

BLOCK_BYTES = 64 * 1024
MAX_LINE = 64 * 1024
MAX_COLUMNS = 50
_SAFE_COLUMN = re.compile(r"[a-z_]{1,40}")


class _Broken(Exception):
    """The rest of the file cannot be read."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CsvSource:
    """The rows of a UTF-8 CSV file with a header, in the order of ``columns`` and ``optional`` whatever the file's order.

    The header names the columns, or else ``places`` says in which column, from 1, each is that the file has; what is in no
    place is left alone. A column of ``optional`` that the file lacks is empty in every row; ``there`` says which columns it
    has. Memory holds one block and one row. A blank line counts in the row numbers and is no row. A row of another width
    than the header's is yielded without values; ``misfit`` has those that fit.
    """

    def __init__(
        self,
        file: BinaryIO,
        columns: tuple[str, ...],
        faults: Faults,
        *,
        optional: tuple[str, ...] = (),
        places: Mapping[str, int] | None = None,
    ) -> None:
        self.row_count = 0
        self.misfit: Sequence[str] = ()
        self._read = file.read
        self._columns = columns + optional
        self._optional = optional
        self._places = places
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
                    self.misfit = pick([*values, *[""] * width][:width])
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
        if len(header) > MAX_COLUMNS:
            self._faults.add_file("", "column_unknown", f"The header has {len(header)} columns.")
            return None
        if self._places is not None:
            return self._picker(header, self._places)
        self._check_names(header)
        if self._faults.is_whole_file:
            return None
        return self._picker(header, {name: header.index(name) + 1 for name in header})

    def _check_names(self, header: list[str]) -> None:
        wrong = self._faults.add_file
        for position, name in enumerate(header, start=1):
            # A file without a header shows a person's data here, so only what looks like a name is repeated.
            shown = name if _SAFE_COLUMN.fullmatch(name) else f"column {position}"
            if name not in self._columns:
                wrong(shown, "column_unknown", f"The columns are {', '.join(self._columns)}; this is none.")
            elif name in header[: position - 1]:
                wrong(shown, "column_repeated", "The column is there twice.")
        for name in self._columns:
            if name not in header and name not in self._optional:
                wrong(name, "column_missing", "The column is missing.")

    def _picker(self, header: list[str], places: Mapping[str, int]) -> Callable[[list[str]], Sequence[str]]:
        self.there = [name in places for name in self._columns]
        # Behind the row's own values is an empty one, for each column that is not there.
        found = [places.get(name, len(header) + 1) - 1 for name in self._columns]
        if found == list(range(len(header))):
            return list
        pick = itemgetter(*found)
        return pick if all(self.there) else lambda values: pick([*values, ""])


def peek(file: BinaryIO, count: int) -> list[list[str]]:
    """Return the header and the first rows after it, blank ones not, as they are, up to where the file cannot be read."""
    found: list[list[str]] = []
    # Whoever reads the file to its end says what is wrong with it, and where.
    with suppress(_Broken, csv.Error):
        for values in csv.reader(CsvSource(file, (), Faults())._lines(), strict=True):
            if values or not found:
                found.append(values)
            if len(found) == count:
                break
    return found


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
