"""Makes a report, the journal or the statement of an account, on the screen or as a file, and checks a signed one."""

import io
import os
import shutil
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.table import Table as Grid

from govpay.errors import GovPayError
from ledger import reports
from ledger.models import Layer
from ledger.reports import documents, signing, words
from ledger.reports.report import Document, Report, Unit
from ledger.seals import checkpoints, note

MOST_SHOWN = 1_000
ASKED = ("scope", "account", "person", "layer", "month", "period", "since", "before", "known_at")


class Command(BaseCommand):
    """``manage.py report NAME [--format FORM --output FILE]``: exits 1 when refused; without a form prints a table."""

    help = "Make a report of the books. Without a name, list what there is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", choices=[*documents.DOCUMENTS, "check"], help="which report")
        parser.add_argument("file", nargs="?", help="check: the PDF, with its note beside it as FILE.note")
        parser.add_argument("--scope", help="one scope such as program:1, instead of all")
        parser.add_argument("--account", help="one account's code")
        parser.add_argument(
            "--person", help="gains, lots: whom disposals were made for, such as enrollment:12"
        )
        parser.add_argument("--layer", choices=Layer.values, help="settled unless said otherwise")
        parser.add_argument("--month", help="such as 2026-11, in UTC")
        parser.add_argument("--period", help="a period's name")
        parser.add_argument("--since", help="what took effect from this time on; UTC unless it says")
        parser.add_argument("--before", help="what took effect before this time")
        parser.add_argument("--known-at", help="what was written up to this time")
        parser.add_argument("--format", choices=list(documents.FORMS), help="the form of the file")
        parser.add_argument("--output", help="the file to write, which must not exist; else standard output")
        parser.add_argument("--key", help="check: the public key, as published; else the installation's own")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["name"] is None:
                self._list()
            elif options["name"] == "check":
                self._check(options["file"], options["key"])
            else:
                self._make(documents.get_document(options["name"]), options)
        except GovPayError as error:
            raise CommandError(f"{error.code}: {error.message}{_options(error)}") from error

    def _list(self) -> None:
        for document in documents.DOCUMENTS.values():
            forms = ", ".join(form.name for form in documents.forms_of(document))
            self.stdout.write(f"{document.name} ({forms}): {document.meaning}")

    def _make(self, document: Document, options: dict[str, Any]) -> None:
        given = {name: options[name] for name in ASKED}
        for name in ("since", "before", "known_at"):
            given[name] = _read_time(f"--{name.replace('_', '-')}", given[name])
        asked = reports.ask(document, now=timezone.now(), **given)
        form, output = options["format"], options["output"]
        if form is None and isinstance(document, Report) and output is None:
            self.stdout.write(_as_grid(document, asked))
            return
        form = form or documents.forms_of(document)[0].name
        pieces = documents.produce(document, form, asked)
        if output is None:
            # What is no text would be spoiled by a text stream; tests and shells give one of bytes or one of text.
            binary = getattr(self.stdout, "buffer", None)
            for piece in pieces:
                if binary is None:
                    self.stdout.write(piece.decode(), ending="")
                else:
                    binary.write(piece)
            return
        _write(Path(output), pieces)
        self.stdout.write(f"{document.title}, {words.time_of(asked)}: written to {output}.")

    def _check(self, file: str | None, key: str | None) -> None:
        if file is None:
            raise CommandError("Name the PDF to check.")
        verifier = checkpoints.signer().verifier if key is None else note.Verifier.parse(key)
        try:
            document, signed = Path(file).read_bytes(), Path(f"{file}.note").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} and {file}.note cannot be read: {error}.") from error
        signing.check(document, signed, verifier)
        self.stdout.write(
            f"{file} is the file that {verifier.name} signed with the key {verifier.key_id.hex()}."
        )


def _write(path: Path, pieces: Any) -> None:
    """Write a file that appears under its name only when it is whole; raise CommandError where one stands already."""
    part = path.with_name(path.name + ".part")
    try:
        if path.exists():
            raise CommandError(f"{path} exists already.")
        with part.open("xb") as out:
            try:
                for piece in pieces:
                    out.write(piece)
                out.flush()
                os.fsync(out.fileno())
                os.link(part, path)
            finally:
                part.unlink()
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error


def _options(error: GovPayError) -> str:
    """Say by which options what is missing is given."""
    ways = [f"--{way}" for way in error.details.get("ways", ())]
    return f" Give {' or '.join(ways)}." if ways else ""


def _read_time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{option} cannot be {text!r}; write 2026-11-24T12:00:00Z.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _as_grid(report: Report, asked: reports.Asked) -> str:
    """Render the first rows; what is longer is for a file."""
    grid = Grid(title=f"{report.title}, {words.time_of(asked)}", caption=report.meaning)
    shown = [place for place, column in enumerate(report.columns) if column.name != "scale"]
    for place in shown:
        column = report.columns[place]
        right = "right" if column.unit in words.RIGHT else "left"
        grid.add_column(column.heading, justify=right, no_wrap=column.unit == Unit.UNITS, overflow="fold")  # type: ignore[arg-type]
    count = 0
    with reports.tabulate(report, asked) as table:
        for row in table.rows:
            count += 1
            if count > MOST_SHOWN:
                break
            grid.add_row(*(words.cell(report, row, place) for place in shown))
    text = io.StringIO()
    console = Console(file=text, width=max(shutil.get_terminal_size((160, 40)).columns, 100), markup=False)
    console.print(grid)
    if count > MOST_SHOWN:
        console.print(f"The first {MOST_SHOWN:,} rows. For all of them: --format csv --output FILE.")
    return text.getvalue().rstrip("\n")
