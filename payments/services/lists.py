"""Makes disbursements from lists that come in as CSV or JSON: whole, with control totals, or not at all."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from django.contrib.auth.models import User
from django.db import transaction

from govpay.errors import InvalidInput
from ledger import audit
from payments.models import Cycle, Disbursement, Intake, Program, Role
from payments.models.intake import IntakeKind, IntakeStatus
from payments.onchain import amount
from payments.payout import failpoint
from payments.services import authority, csv_source, intake, lines, units
from payments.states import DisbursementStatus

COLUMNS = ("reference", "amount_sat")
_PERIOD = re.compile(r"[0-9A-Za-z-]{1,20}")
_PURPOSE = re.compile(r"[a-z0-9-]{1,40}")


class _Refused(Exception):
    """Takes back what was written for a list that has faults."""

    def __init__(self, refused: int) -> None:
        super().__init__()
        self.refused = refused


def create_from_csv(
    *,
    by: User,
    program_id: int,
    period: str,
    purpose: str,
    file: BinaryIO,
    filename: str,
    expected_count: int,
    expected_total_sat: int | None = None,
    expected_total_minor: int | None = None,
    is_urgent: bool = False,
    progress: intake.Progress | None = None,
) -> Intake:
    """Make a draft disbursement of a UTF-8 CSV file with the columns ``columns``; return what became of the file.

    The control total is in satoshis, or in minor units where the program has a currency: exactly one is given.
    An urgent list is paid in a fee spike, up to the program's ceiling; that never changes once it is made.
    ``intake.disbursement`` exists when its status is loaded. Any bad row, and control totals that disagree,
    refuse the whole. Raises NotFound, RoleMissing, and InvalidInput for the period, the purpose and a total in another unit.
    """
    faults = intake.Faults()
    program = require_maker(by, program_id)
    return _create(
        by=by,
        program=program,
        cycle=(period, purpose),
        source=csv_source.CsvSource(file, columns(program), faults),
        read_amount=amount.parse_sat,
        filename=filename,
        control=(
            expected_count,
            units.own(program, "expected_total", sat=expected_total_sat, minor=expected_total_minor),
        ),
        is_urgent=is_urgent,
        faults=faults,
        progress=progress,
    )


def create_from_rows(
    *,
    by: User,
    program_id: int,
    period: str,
    purpose: str,
    rows: Iterable[Mapping[str, Any]],
    expected_count: int,
    expected_total_sat: int | None = None,
    expected_total_minor: int | None = None,
    is_urgent: bool = False,
) -> Intake:
    """Make a draft disbursement of JSON objects with the keys ``columns``, by the rules of a file."""
    faults = intake.Faults()
    program = require_maker(by, program_id)
    return _create(
        by=by,
        program=program,
        cycle=(period, purpose),
        source=_JsonSource(rows, columns(program), faults),
        read_amount=amount.sat_from_json,
        filename="",
        control=(
            expected_count,
            units.own(program, "expected_total", sat=expected_total_sat, minor=expected_total_minor),
        ),
        is_urgent=is_urgent,
        faults=faults,
    )


class _JsonSource:
    """Rows that came as JSON objects; their hash is that of one compact line a row."""

    def __init__(
        self, rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...], faults: intake.Faults
    ) -> None:
        self.row_count = 0
        self._columns = columns
        self._rows = rows
        self._faults = faults
        self._sha256 = hashlib.sha256()

    def __iter__(self) -> Iterator[tuple[int, Sequence[Any]]]:
        for row, value in enumerate(self._rows, start=1):
            self.row_count = row
            line = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
            self._sha256.update(line.encode() + b"\n")
            if isinstance(value, Mapping) and set(value) <= set(self._columns):
                yield row, [value.get(name) for name in self._columns]
            else:
                self._faults.add(
                    row, "", "row_width", f"A row has the keys {' and '.join(self._columns)} only."
                )
                yield row, ()
        if self.row_count == 0:
            self._faults.add_file("", "file_empty", "There are no rows.")

    def digest(self) -> bytes:
        return self._sha256.digest()


def require_maker(by: User, program_id: int) -> Program:
    """Return the program of somebody who may make lists in it; raise NotFound, RoleMissing."""
    authority.require(user=by, program_id=program_id, roles=(Role.OFFICER,))
    return Program.objects.get(pk=program_id)


def columns(program: Program) -> tuple[str, str]:
    """Return the columns of a program's lists: COLUMNS, or those of money: the reference, and ``amount_minor``."""
    return COLUMNS[0], f"amount_{program.unit}"


def _create(
    *,
    by: User,
    program: Program,
    cycle: tuple[str, str],
    source: intake.Source,
    read_amount: Callable[[Any], int],
    filename: str,
    control: tuple[int, int],
    is_urgent: bool,
    faults: intake.Faults,
    progress: intake.Progress | None = None,
) -> Intake:
    require_cycle(*cycle)
    failpoint.hit("K1")

    def stage() -> None:
        lines.stage(source, read_amount, faults, progress, column=columns(program)[1])
        failpoint.hit("K2")

    return load_staged(
        by=by,
        program=program,
        cycle=cycle,
        stage=stage,
        source=source,
        filename=filename,
        control=control,
        is_urgent=is_urgent,
        faults=faults,
    )


def load_staged(
    *,
    by: User,
    program: Program,
    cycle: tuple[str, str],
    stage: Callable[[], None],
    source: intake.Source,
    filename: str,
    control: tuple[int, int],
    is_urgent: bool,
    faults: intake.Faults,
) -> Intake:
    """Stage a list, check it, make its draft, and record what became of it: whole, or refused and nothing left."""
    with transaction.atomic():
        try:
            with transaction.atomic():
                stage()
                locked = _lock_cycle(program.pk, *cycle)
                total = check_staged(program, locked, source, control, faults)
                _refuse_if(faults)
                record = _record(by, program.pk, filename, source, faults)
                disbursement = Disbursement.objects.create(
                    program=program,
                    cycle=locked,
                    intake=record,
                    payment_count=source.row_count,
                    **program.amounts("total", total),
                    is_urgent=is_urgent,
                    made_by=by,
                )
                lines.insert_payments(disbursement, faults)
                _refuse_if(faults)
                audit.record("list.create", disbursement, by=by, scope=program.scope)
                return record
        except _Refused as refusal:
            return _record(by, program.pk, filename, source, faults, refused=refusal.refused)


def require_cycle(period: str, purpose: str) -> None:
    """Raise InvalidInput unless both can name a cycle."""
    rules = [
        ("period", period, _PERIOD, "A period has 1 to 20 plain letters, digits and hyphens."),
        ("purpose", purpose, _PURPOSE, "A purpose has 1 to 40 small letters, digits and hyphens."),
    ]
    errors = [
        {"row": 0, "column": column, "code": f"{column}_malformed", "message": message}
        for column, text, shape, message in rules
        if not isinstance(text, str) or not shape.fullmatch(text)
    ]
    if errors:
        raise InvalidInput(str(errors[0]["message"]), errors=errors)


def _lock_cycle(program_id: int, period: str, purpose: str) -> Cycle:
    """Return the cycle, locked: two lists of one cycle are checked and written one after the other."""
    cycle, _ = Cycle.objects.get_or_create(program_id=program_id, period=period, purpose=purpose)
    return Cycle.objects.select_for_update(no_key=True).get(pk=cycle.pk)


def check_staged(
    program: Program, cycle: Cycle, source: intake.Source, control: tuple[int, int], faults: intake.Faults
) -> int:
    """Note everything that is wrong with the staged list; return its total in the program's own unit.

    A cycle without a number is one that no list was made for yet.
    """
    total, amounts = lines.total()
    if faults.is_whole_file:
        return total
    if cycle.pk is not None and _is_seen(cycle, source.digest()):
        faults.add_file("", "file_seen_before", "This very list was loaded for the cycle before.")
        return total
    lines.check(program, cycle, faults)
    expected_count, expected_total = control
    column, unit = columns(program)[1], program.unit_words
    if source.row_count != expected_count:
        message = f"The list has {source.row_count} rows; the control total says {expected_count}."
        faults.add_file("", "control_count", message)
    # A sum without the amounts that could not be read would differ for that reason only.
    if amounts == source.row_count and total != expected_total:
        message = f"The list sums to {total} {unit}; the control total says {expected_total} {unit}."
        faults.add_file(column, "control_total", message)
    if total > amount.MAX_SAT:
        faults.add_file(column, "total_too_large", "The list is more than all the money there is.")
    return total


def _is_seen(cycle: Cycle, sha256: bytes) -> bool:
    """Tell whether the same bytes made a list of this cycle that still stands; the next month's may be equal."""
    return (
        Intake.objects.filter(
            program_id=cycle.program_id,
            kind=IntakeKind.LINES,
            status=IntakeStatus.LOADED,
            sha256=sha256,
            disbursement__cycle=cycle,
        )
        .exclude(disbursement__status__in=[DisbursementStatus.REJECTED, DisbursementStatus.CANCELLED])
        .exists()
    )


def _refuse_if(faults: intake.Faults) -> None:
    if faults.kept:
        raise _Refused(intake.count_bad(lines.STAGE))


def _record(
    by: User,
    program_id: int,
    filename: str,
    source: intake.Source,
    faults: intake.Faults,
    refused: int | None = None,
) -> Intake:
    """Record the list: loaded whole, or refused with this many bad rows."""
    return intake.record(
        by=by,
        program_id=program_id,
        kind=IntakeKind.LINES,
        filename=filename,
        source=source,
        refused=refused or 0,
        loaded=source.row_count if refused is None else 0,
        faults=faults,
    )
