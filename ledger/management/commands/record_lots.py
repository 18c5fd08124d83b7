"""Records a file of what bitcoin an institution acquired and disposed of: all of it, or nothing."""

import csv
import re
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError, InvalidInput
from ledger.models import MovementKind
from ledger.treasury import movements
from ledger.treasury.lots import Movement

COLUMNS = ("kind", "effective_at", "amount_sat", "value_minor", "reference", "person", "jurisdiction")
WHOLE = re.compile("[0-9]{1,16}", re.ASCII)
MOST_SHOWN = 20


class Command(BaseCommand):
    """``manage.py record_lots FILE --scope trust:1 --currency PKR --scale 2 --by USERNAME``: exits 1 when it is refused."""

    help = (
        f"Record a UTF-8 CSV file with the columns {', '.join(COLUMNS)}: kind is acquisition or disposal, effective_at"
        " when it happened (UTC unless it says), value_minor the cost with fees or the proceeds without them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--scope", required=True, help="the institution, such as trust:1")
        parser.add_argument("--currency", required=True, help="such as PKR")
        parser.add_argument("--scale", required=True, type=int, help="how many digits its minor unit has")
        parser.add_argument("--by", required=True, help="the user name of whoever records it")

    def handle(self, *args: Any, **options: Any) -> None:
        by = User.objects.filter(username=options["by"], is_active=True).first()
        if by is None:
            raise CommandError(f"There is no active user {options['by']}.")
        try:
            count = movements.record(
                by=by,
                scope=options["scope"],
                currency=options["currency"],
                scale=options["scale"],
                movements=_read(Path(options["file"])),
            )
        except InvalidInput as error:
            raise CommandError("\n".join(map(_line, error.details["errors"][:MOST_SHOWN]))) from error
        except GovPayError as error:
            raise CommandError(f"{error.code}: {error.message}") from error
        self.stdout.write(f"{count} movements of {options['scope']} are recorded.")


def _line(error: dict[str, Any]) -> str:
    """Write an error with its row and column, where it is of one: a file has neither."""
    row, column = error["row"], error["column"]
    where = ", ".join(filter(None, (f"row {row}" if row else "", column)))
    return ": ".join(filter(None, (where, error["code"], error["message"])))


def _read(path: Path) -> list[Movement]:
    """Return the rows of the file; raise InvalidInput with one error a cell that cannot be read."""
    errors: list[dict[str, Any]] = []
    found: list[Movement] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            if tuple(next(rows, ())) != COLUMNS:
                _refuse(errors, 0, "", "header", f"The first line must be {','.join(COLUMNS)}.")
            for number, row in enumerate(rows if not errors else (), start=1):
                if len(found) > movements.MOST_ROWS:
                    break
                movement = _movement(number, row, errors)
                if movement is not None:
                    found.append(movement)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{path} cannot be read: {error}.") from error
    if errors:
        raise InvalidInput(errors[0]["message"], errors=errors)
    return found


def _movement(number: int, row: list[str], errors: list[dict[str, Any]]) -> Movement | None:
    before = len(errors)
    if len(row) != len(COLUMNS):
        _refuse(errors, number, "", "columns", f"The row has {len(row)} cells, not {len(COLUMNS)}.")
        return None
    kind, at_text, amount, value, reference, person, jurisdiction = row
    if kind not in MovementKind.values:
        _refuse(errors, number, "kind", "invalid", "Write acquisition or disposal.")
    for column, text in (("amount_sat", amount), ("value_minor", value)):
        if not WHOLE.fullmatch(text):
            _refuse(errors, number, column, "invalid", "Write up to 16 digits, without sign or point.")
    try:
        at = datetime.fromisoformat(at_text)
    except ValueError:
        _refuse(errors, number, "effective_at", "invalid", "Write a time such as 2026-11-24T12:00:00Z.")
    if len(errors) > before:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    is_acquisition = kind == MovementKind.ACQUISITION
    return Movement(at, is_acquisition, int(amount), int(value), reference, person, jurisdiction)


def _refuse(errors: list[dict[str, Any]], row: int, column: str, code: str, message: str) -> None:
    if len(errors) < movements.MOST_ERRORS:
        errors.append({"row": row, "column": column, "code": code, "message": message})
