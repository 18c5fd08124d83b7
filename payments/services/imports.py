"""Imports in the background: a file is stored, its columns said, checked by a worker, looked at, and confirmed.

The row is the work. A worker checks the file part by part under a lease (``importing``); where it dies another one goes on.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from io import BytesIO
from itertools import chain
from typing import Any, BinaryIO

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from govpay.errors import Conflict, Forbidden, NotFound
from ledger import audit
from payments import doorbell
from payments.models import ImportFault, ImportJob, ImportPart, ImportRow, Program, Role
from payments.models.history import move
from payments.models.intake import IntakeKind
from payments.selectors import imports as selector
from payments.services import authority, columns, csv_source, import_files, intake, lists, units
from payments.states import ImportStatus

# Of one person that neither count nor ended.
MOST_OPEN = 5
CANCELLABLE = (ImportStatus.MAPPING, ImportStatus.WAITING, ImportStatus.CHECKING, ImportStatus.READY)
OPEN = (*CANCELLABLE, ImportStatus.LOADING)
# Of a file, beside the names of its columns.
SAMPLE_ROWS = 3


class TooManyImports(Conflict):
    """Others that the same person brought are not done yet."""

    code = "too_many_imports"


class ImportEmptied(Conflict):
    """The file, its rows and their faults were deleted."""

    code = "import_emptied"


class NotTheMaker(Forbidden):
    """A list's columns are said and it is confirmed by whoever brought it, its maker; others are kept for its approval."""

    code = "not_the_maker"


def ask_people(
    *,
    by: User,
    program_id: int,
    file: BinaryIO,
    filename: str,
    accept_partial: bool = False,
    expected_count: int | None = None,
    names: Mapping[str, str] | None = None,
    may_ask: bool = False,
) -> ImportJob:
    """Store a file of people to be checked; raise NotFound, RoleMissing, FileTooLarge, TooManyImports, ColumnsRefused.

    ``names`` says by which name in the file's header each field goes; columns that are not named are left alone. Without
    it a file whose header has other names than the fields' own waits for ``say_columns`` if it ``may_ask``.
    """
    return _ask(
        by=by,
        program_id=program_id,
        file=file,
        filename=filename,
        kind=IntakeKind.PEOPLE,
        accept_partial=accept_partial,
        expected_count=expected_count,
        names=names,
        may_ask=may_ask,
    )


def ask_list(
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
    names: Mapping[str, str] | None = None,
    may_ask: bool = False,
) -> ImportJob:
    """Store a list with its control totals to be checked; raise as ``ask_people``, and InvalidInput for the cycle."""
    program = lists.require_maker(by, program_id)
    lists.require_cycle(period, purpose)
    return _ask(
        by=by,
        program_id=program_id,
        file=file,
        filename=filename,
        kind=IntakeKind.LINES,
        period=period,
        purpose=purpose,
        expected_count=expected_count,
        expected_total=units.own(
            program, "expected_total", sat=expected_total_sat, minor=expected_total_minor
        ),
        is_urgent=is_urgent,
        names=names,
        may_ask=may_ask,
    )


@transaction.atomic
def _ask(
    *,
    by: User,
    program_id: int,
    file: BinaryIO,
    filename: str,
    names: Mapping[str, str] | None,
    may_ask: bool,
    **asked: Any,
) -> ImportJob:
    authority.require(user=by, program_id=program_id, roles=(Role.OFFICER,))
    User.objects.select_for_update().get(pk=by.pk)
    mine = ImportJob.objects.filter(made_by=by, status__in=OPEN).count()
    if mine >= MOST_OPEN:
        raise TooManyImports(f"{mine} imports that you began are not done yet.", most=MOST_OPEN)
    program = Program.objects.get(pk=program_id)
    parts = import_files.parts(file)
    start = next(parts, b"")
    header, *_ = csv_source.peek(BytesIO(start), 1) or [[]]
    job = ImportJob(
        program=program,
        filename=intake.safe_name(filename),
        size_bytes=0,
        sha256=b"",
        made_by=by,
        **asked,
    )
    if names is not None and columns.can_be_said(header):
        _say(job, header, columns.places(names, header))
    elif may_ask and columns.can_be_said(header) and not columns.is_plain(header, *import_files.fields(job)):
        job.status = ImportStatus.MAPPING
    job.save()
    import_files.store(job, chain([start], parts))
    if job.status == ImportStatus.WAITING:
        doorbell.ring("run_import", job_id=job.pk)
    return _recorded("import.ask", by, job.pk)


def get(*, by: User, job_id: int) -> ImportJob:
    """Return a job of one of the user's programs; raise NotFound."""
    job = selector.jobs(by).filter(pk=job_id).first()
    if job is None:
        raise NotFound("There is no such import in your programs.")
    return job


@transaction.atomic
def sample(*, by: User, job_id: int) -> list[list[str]]:
    """Return the names of a file's columns and its first rows; raise as ``errors``. It is recorded: it shows people."""
    job = _with_file(by, job_id)
    _recorded("import.look", by, job_id)
    return import_files.first_rows(job, 1 + SAMPLE_ROWS)


@transaction.atomic
def say_columns(*, by: User, job_id: int, places: Mapping[str, int]) -> ImportJob:
    """Say in which column, from 1, each field is, and let a worker check the file.

    Raises NotFound, RoleMissing, StatusConflict, ColumnsRefused, and NotTheMaker where another officer brought the list.
    """
    job = _of_maker(by, job_id)
    _move(job, ImportStatus.MAPPING, ImportStatus.WAITING, by=by)
    header, *_ = import_files.first_rows(job, 1)
    _say(job, header, places)
    job.save(update_fields=["columns", "header_mac"])
    doorbell.ring("run_import", job_id=job.pk)
    return _recorded("import.map", by, job_id)


def _say(job: ImportJob, header: list[str], places: Mapping[str, int]) -> None:
    columns.require(places, len(header), *import_files.fields(job))
    job.columns, job.header_mac = dict(places), columns.mac(header)


@transaction.atomic
def confirm(*, by: User, job_id: int) -> ImportJob:
    """Let a worker write what was checked; raise NotFound, RoleMissing, NotTheMaker, StatusConflict.

    People are confirmed by any officer of the program, a list by the officer who brought it.
    """
    job = _of_maker(by, job_id)
    _move(
        job,
        ImportStatus.READY,
        ImportStatus.LOADING,
        by=by,
        confirmed_by=by,
        confirmed_at=Now(),
        attempts=0,
        lease_until=None,
    )
    doorbell.ring("run_import", job_id=job.pk)
    return _recorded("import.confirm", by, job_id)


@transaction.atomic
def cancel(*, by: User, job_id: int) -> ImportJob:
    """Take back an import that does not count yet, and delete its file; raise NotFound, RoleMissing, StatusConflict."""
    job = _of_officer(by, job_id)
    # What is being written cannot be taken back, and its worker holds the row until it is done.
    if job.status in CANCELLABLE:
        job = ImportJob.objects.select_for_update().get(pk=job_id)
    _move(job, ImportStatus(job.status), ImportStatus.CANCELLED, by=by, finished_at=Now(), lease_until=None)
    _empty(job_id)
    return _recorded("import.cancel", by, job_id)


@transaction.atomic
def bad_rows(*, by: User, job_id: int) -> tuple[list[str], list[import_files.BadRow]]:
    """Return a file's fields, and its first wrong rows with values and faults; raise as ``errors``. It is recorded, too."""
    job = _with_file(by, job_id)
    _recorded("import.look", by, job_id)
    return import_files.bad_rows(job)


@transaction.atomic
def errors(*, by: User, job_id: int) -> tuple[ImportJob, Iterator[str]]:
    """Return the refused rows as lines of CSV; raise NotFound, RoleMissing, ImportEmptied. It holds personal data."""
    job = _with_file(by, job_id)
    audit.record("import.errors", job, by=by, scope=f"program:{job.program_id}")
    return job, import_files.errors(job)


def forget() -> None:
    """Give up what nobody named the columns of, or confirmed, in time, and delete the files of what ended long ago."""
    kept = timedelta(days=settings.GOVPAY_IMPORT_KEPT_DAYS)
    unnamed = Q(status=ImportStatus.MAPPING, made_at__lt=Now() - kept)
    unconfirmed = Q(status=ImportStatus.READY, checked_at__lt=Now() - kept)
    for job in ImportJob.objects.filter(unnamed | unconfirmed).order_by("pk"):
        with transaction.atomic():
            locked = ImportJob.objects.select_for_update().get(pk=job.pk)
            if locked.status == job.status:
                days = settings.GOVPAY_IMPORT_KEPT_DAYS
                message = (
                    f"Nobody confirmed it for {days} days."
                    if job.status == ImportStatus.READY
                    else f"Nobody said what its columns hold for {days} days."
                )
                _move(
                    locked,
                    ImportStatus(job.status),
                    ImportStatus.CANCELLED,
                    code="not_confirmed",
                    message=message,
                    finished_at=Now(),
                )
                _empty(job.pk)
    ended = ImportJob.objects.filter(emptied_at=None, finished_at__lt=Now() - kept)
    for pk in list(ended.order_by("pk").values_list("pk", flat=True)):
        with transaction.atomic():
            _empty(pk)


def _recorded(action: str, by: User, job_id: int) -> ImportJob:
    job = get(by=by, job_id=job_id)
    audit.record(action, job, by=by, scope=f"program:{job.program_id}")
    return job


def _of_officer(by: User, job_id: int) -> ImportJob:
    job = get(by=by, job_id=job_id)
    authority.require(user=by, program_id=job.program_id, roles=(Role.OFFICER,))
    return job


def _with_file(by: User, job_id: int) -> ImportJob:
    """Return the job of an officer of its program, whose file is there still."""
    job = _of_officer(by, job_id)
    if job.emptied_at is not None:
        raise ImportEmptied("The file and its errors were deleted; what became of it is kept.")
    return job


def _of_maker(by: User, job_id: int) -> ImportJob:
    """Return the job of an officer of its program, who brought the file if it is a list."""
    job = _of_officer(by, job_id)
    if job.kind == IntakeKind.LINES and job.made_by_id != by.pk:
        raise NotTheMaker(
            "A list is confirmed by the officer who brought its file, who names its columns too."
        )
    return job


def _move(
    job: ImportJob, old: ImportStatus, new: ImportStatus, *, by: User | None = None, **changes: Any
) -> None:
    rows = ImportJob.objects.filter(pk=job.pk)
    move(rows, old=old, new=new, actor_id=None if by is None else by.pk, **changes)


def _empty(job_id: int) -> None:
    """Delete what a job holds of people."""
    for model in (ImportPart, ImportRow, ImportFault):
        model._default_manager.filter(job_id=job_id).delete()
    ImportJob.objects.filter(pk=job_id).update(emptied_at=Now())
