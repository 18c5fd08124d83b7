"""What a terminal shows while a file comes in, and after: a bar, and a table of what is wrong."""

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from django.contrib.auth.models import User
from django.core.management.base import CommandError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from govpay.errors import GovPayError
from payments.models import Intake, Program
from payments.models.intake import IntakeStatus
from payments.services import intake as intake_module

SHOWN = 50


@dataclass(frozen=True)
class Arrival:
    """A file on its way in, and who brings it where."""

    by: User
    program_id: int
    file: BinaryIO
    filename: str
    progress: intake_module.Progress


def add_arguments(parser: ArgumentParser) -> None:
    """Add what every import needs."""
    parser.add_argument("--program", required=True, metavar="CODE", help="the program's code")
    parser.add_argument("--by", required=True, metavar="USERNAME", help="the officer who brings the file")
    parser.add_argument("file", metavar="FILE")


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Arrival]:
    """Open the file under a progress bar of its bytes; every refusal becomes a CommandError."""
    by = User.objects.filter(username=options["by"]).first()
    program = Program.objects.filter(code=options["program"]).first()
    if by is None or program is None:
        missing = f"user {options['by']!r}" if by is None else f"program {options['program']!r}"
        raise CommandError(f"There is no {missing}.")
    path = Path(options["file"])
    columns = (BarColumn(), DownloadColumn(), TextColumn("{task.fields[rows]} rows"), TimeElapsedColumn())
    console = Console(stderr=True)
    try:
        with path.open("rb") as file, Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=path.stat().st_size, rows=0)
            yield Arrival(by, program.pk, file, path.name, _advance(bar, task, file))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except GovPayError as error:
        raise CommandError(error.message) from error


def _advance(bar: Progress, task: TaskID, file: BinaryIO) -> intake_module.Progress:
    def advance(rows: int) -> None:
        bar.update(task, completed=file.tell(), rows=rows)

    return advance


def show(intake: Intake, loaded: str) -> None:
    """Print what is wrong as a table and the counts; raise CommandError (exit 1) when the file is refused."""
    console = Console()
    errors = list(intake.errors.all()[:SHOWN])
    if errors:
        table = Table("row", "column", "code", "message")
        for error in errors:
            table.add_row(str(error.row), *map(escape, (error.column, error.code, error.message)))
        console.print(table)
        left = intake.errors.count() - len(errors)
        if left:
            console.print(f"... and {left} more errors, kept with intake {intake.pk}.")
    if intake.status == IntakeStatus.REFUSED:
        bad = f"{intake.rows_refused} of {intake.rows_total} rows are bad"
        raise CommandError(f"Refused: {bad if intake.rows_refused else 'see above'}; nothing was loaded.")
    console.print(
        f"{intake.rows_loaded} {loaded}, {intake.rows_refused} of {intake.rows_total} rows refused."
    )
