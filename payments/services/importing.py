"""What a worker does with an import: checks the stored file part by part, judges the whole, and writes it once confirmed.

Each part is one database transaction that holds the job's row, so that whoever takes over goes on with the part that was not
committed. The rules are those of the files that are loaded at once (people, lists).
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest, Now

from govpay.errors import GovPayError
from payments.models import Cycle, ImportFault, ImportJob, Intake, IntakeError, Role
from payments.models.history import move
from payments.models.intake import IntakeKind, IntakeStatus
from payments.onchain import amount
from payments.payout import failpoint
from payments.services import authority, import_files, intake, lines, lists, people, person_rows, registry
from payments.states import ImportStatus

log = structlog.get_logger(__name__)

MOST_ATTEMPTS = 3
# Longer than a worker takes from one commit to the next, but for the last: it holds the job's row until it is done.
LEASE = timedelta(seconds=60)
ROWS = "payments_importrow"
Rows = list[tuple[int, Sequence[Any]]]


class _Overtaken(Exception):
    """The job was taken back, or by another worker."""


class _Structure(intake.Faults):
    """What is wrong with rows before they are looked at, and with the file; rows that were committed before are known."""

    def __init__(self) -> None:
        super().__init__()
        self.of_file: list[intake.Fault] = []

    def add_file(self, column: str, code: str, message: str, row: int = 0) -> None:
        """Note what makes the whole file worthless."""
        self.is_whole_file = True
        self.of_file.append(intake.Fault(row, column, code, message))

    def take(self, after: int) -> list[intake.Fault]:
        """Return the faults of the rows after one, and forget all there are."""
        found, self.kept = [fault for fault in self.kept if fault.row > after], []
        return found


def run(job_id: int) -> None:
    """Check an import, or write a confirmed one, unless another worker is at it. Harmless to repeat."""
    job = _claim(job_id)
    if job is None:
        return
    try:
        if job.status == ImportStatus.CHECKING:
            _check(job)
        else:
            _load(job)
    except _Overtaken:
        log.warning("import_overtaken", job_id=job.pk)
    except GovPayError as error:
        with transaction.atomic():
            _refuse(job, code=error.code, message=error.message)


def _claim(job_id: int) -> ImportJob | None:
    """Take a job that nobody is at; refuse one that killed its workers."""
    with transaction.atomic():
        job = ImportJob.objects.waiting().select_for_update(skip_locked=True).filter(pk=job_id).first()
        if job is None:
            return None
        if job.status == ImportStatus.WAITING:
            move(_row(job), old=ImportStatus.WAITING, new=ImportStatus.CHECKING)
        job.status = ImportStatus.LOADING if job.status == ImportStatus.LOADING else ImportStatus.CHECKING
        if job.attempts >= MOST_ATTEMPTS:
            _end(job, code="worker_died", message=f"Its worker died {job.attempts} times at the same place.")
            return None
        _row(job).update(
            attempts=F("attempts") + 1, lease_token=F("lease_token") + 1, lease_until=Now() + LEASE
        )
        return ImportJob.objects.get(pk=job_id)


def _check(job: ImportJob) -> None:
    structure = _Structure()
    source, file = import_files.source(job, structure)
    # Rows that are checked already are read again, which costs little, and not checked again.
    unchecked = (found for found in source if found[0] > job.rows_done)
    for _, group in groupby(unchecked, key=lambda _: file.number):
        _check_part(job, list(group), structure)
    _judge(job, source.row_count, structure)


def _check_part(job: ImportJob, rows: Rows, structure: _Structure) -> None:
    """Stage the rows of one part of the file with what is wrong with single values."""
    last = rows[-1][0]
    faults = intake.Faults()
    columns, staged = _staged(job, rows, faults)
    with transaction.atomic():
        _hold(job)
        intake.stage(ROWS, f"job_id, {columns}", (f"{job.pk}\t{line}" for line in staged))
        _keep(job, [*structure.take(after=rows[0][0] - 1), *faults.kept])
        failpoint.hit("K2")
        _row(job).update(
            rows_done=last,
            rows_total=Greatest("rows_total", last),
            attempts=0,
            lease_until=Now() + LEASE,
        )


def _staged(job: ImportJob, rows: Rows, faults: intake.Faults) -> tuple[str, Iterator[str]]:
    if job.kind == IntakeKind.PEOPLE:
        return registry.STAGE_COLUMNS, person_rows.lines(job.program_id, rows, faults)
    column = lists.columns(job.program)[1]
    return lines.STAGE_COLUMNS, lines.stage_lines(rows, amount.parse_sat, faults, column=column)


def _judge(job: ImportJob, row_count: int, structure: _Structure) -> None:
    """Check the rows against each other, the registry and the control totals: it is ready, or refused."""
    with transaction.atomic():
        _hold(job)
        faults = intake.Faults()
        faults.is_whole_file = structure.is_whole_file
        seen = intake.Seen(row_count, bytes(job.sha256))
        _fill(job)
        total = _check_whole(job, seen, faults)
        bad = _mark_bad(job)
        _keep(job, [*structure.of_file, *faults.kept])
        _row(job).update(
            rows_total=row_count, rows_done=row_count, errors_count=bad, total=total, checked_at=Now()
        )
        job.refresh_from_db()
        failpoint.hit("K3")
        whole = [fault for fault in [*structure.of_file, *faults.kept] if faults.is_whole_file]
        if whole:
            _end(job, code=whole[0].code, message=whole[0].message)
        elif bad and not (job.accept_partial and bad < row_count):
            _end(job, code="rows_refused", message=f"{bad:,} of {row_count:,} rows are wrong.")
        else:
            move(_row(job), old=ImportStatus.CHECKING, new=ImportStatus.READY, attempts=0, lease_until=None)


def _check_whole(job: ImportJob, seen: intake.Seen, faults: intake.Faults) -> int | None:
    """Note what breaks a rule of the whole file; return a list's total in the program's own unit."""
    if job.kind == IntakeKind.LINES:
        cycle = Cycle(program_id=job.program_id, period=job.period, purpose=job.purpose)
        found = Cycle.objects.filter(
            program_id=job.program_id, period=job.period, purpose=job.purpose
        ).first()
        return lists.check_staged(job.program, found or cycle, seen, _control(job), faults)
    people.check_staged(job.program_id, seen, faults)
    if job.expected_count is not None and seen.row_count != job.expected_count and not faults.is_whole_file:
        message = f"The file has {seen.row_count:,} rows; the control total says {job.expected_count:,}."
        faults.add_file("", "control_count", message)
    return None


def _load(job: ImportJob) -> None:
    """Write everything in one database transaction, or refuse it whole, as the registry and the cycle are now."""
    with transaction.atomic():
        _hold(job)
        by: Any = job.confirmed_by
        authority.require(user=by, program_id=job.program_id, roles=(Role.OFFICER,))
        faults = intake.Faults()
        seen = intake.Seen(job.rows_total, bytes(job.sha256))
        if job.kind == IntakeKind.PEOPLE:
            _fill(job)
            made = people.load_staged(
                by=by,
                program_id=job.program_id,
                source=seen,
                filename=job.filename,
                accept_partial=job.accept_partial,
                faults=faults,
            )
            _mark_bad(job)
        else:
            made = lists.load_staged(
                by=by,
                program=job.program,
                cycle=(job.period, job.purpose),
                stage=lambda: _fill(job),
                source=seen,
                filename=job.filename,
                control=_control(job),
                is_urgent=job.is_urgent,
                faults=faults,
            )
        _keep(job, faults.kept)
        _copy_faults(job, made)
        failpoint.hit("K3")
        _row(job).update(errors_count=made.rows_refused)
        if made.status == IntakeStatus.LOADED:
            move(
                _row(job),
                old=ImportStatus.LOADING,
                new=ImportStatus.DONE,
                intake=made,
                finished_at=Now(),
                lease_until=None,
            )
        else:
            first = faults.kept[0]
            _end(job, code=first.code, message=first.message, made=made)


def _refuse(job: ImportJob, *, code: str, message: str) -> None:
    """End a job for what its worker was refused."""
    try:
        _hold(job)
    except _Overtaken:
        return
    _end(job, code=code, message=message)


def _end(job: ImportJob, *, code: str, message: str, made: Intake | None = None) -> None:
    """Record the refusal beside those of the files that were loaded at once."""
    if made is None:
        made = intake.record(
            by=job.made_by,
            program_id=job.program_id,
            kind=job.kind,
            filename=job.filename,
            source=intake.Seen(job.rows_total, bytes(job.sha256)),
            refused=job.errors_count,
            loaded=0,
            faults=intake.Faults(),
        )
        _copy_faults(job, made)
    move(
        _row(job),
        old=job.status,
        new=ImportStatus.REFUSED,
        code=code,
        message=message[:300],
        intake=made,
        finished_at=Now(),
        lease_until=None,
    )


def _hold(job: ImportJob) -> None:
    """Lock the job's row until the commit; raise _Overtaken unless this worker still has it."""
    mine = Q(lease_token=job.lease_token, status=job.status)
    if not ImportJob.objects.select_for_update().filter(mine, pk=job.pk).exists():
        raise _Overtaken


def _fill(job: ImportJob) -> None:
    """Put the checked rows where the rules of files look for them."""
    stage, columns = (
        (registry, registry.STAGE_COLUMNS) if job.kind == IntakeKind.PEOPLE else (lines, lines.STAGE_COLUMNS)
    )
    stage.open_stage()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {stage.STAGE} ({columns}) SELECT {columns} FROM {ROWS}"  # noqa: S608 - names of our own
            " WHERE job_id = %s ORDER BY row",
            [job.pk],
        )
    stage.close_stage()


def _mark_bad(job: ImportJob) -> int:
    """Mark the rows that broke a rule of the whole file; return how many are bad in all."""
    stage = registry.STAGE if job.kind == IntakeKind.PEOPLE else lines.STAGE
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {ROWS} r SET is_bad = true FROM {stage} s"  # noqa: S608 - names of our own
            " WHERE r.job_id = %s AND r.row = s.row AND s.is_bad AND NOT r.is_bad",
            [job.pk],
        )
    return intake.count_bad(stage)


def _keep(job: ImportJob, faults: Sequence[intake.Fault]) -> None:
    """Store faults; what was noted before is not noted twice."""
    rows = (ImportFault(job=job, **fault._asdict()) for fault in sorted(faults, key=lambda f: f.row))
    ImportFault.objects.bulk_create(rows, batch_size=1_000, ignore_conflicts=True)


def _copy_faults(job: ImportJob, made: Intake) -> None:
    """Keep the first faults with the record of the file, which outlives the job's."""
    known = set(made.errors.values_list("row", "column", "code"))
    kept = ImportFault.objects.filter(job=job).order_by("row", "id")[: intake.MAX_KEPT]
    columns = ("row", "column", "code", "message")
    IntakeError.objects.bulk_create(
        (
            IntakeError(intake=made, **dict(zip(columns, fault, strict=True)))
            for fault in kept.values_list(*columns)
            if fault[:3] not in known
        ),
        batch_size=1_000,
    )


def _control(job: ImportJob) -> tuple[int, int]:
    return job.expected_count or 0, job.expected_total or 0


def _row(job: ImportJob) -> Any:
    return ImportJob.objects.filter(pk=job.pk)
