"""Writes files for banks, holds them to the schema before anybody gets one, and gives the same bytes out every time."""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, cast

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, GovPayError, NotFound
from ledger import audit
from payments.models import BankFile
from payments.models.history import move
from payments.payout import agreed, guard
from payments.rails import schema, transfer
from payments.services import bank_files, bank_origins
from payments.states import BankFileStatus

log = structlog.get_logger(__name__)

# Above this a file is on disk while it is written, where nothing names it.
IN_MEMORY_BYTES = 4 * 1024 * 1024
MOST_BYTES = 4 * 1024**3


class BankFileChanged(GovPayError):
    """The lines in the database do not make the file that was written: somebody changed them, and nobody gets it."""

    code = "bank_file_changed"
    http_status = 500


class BankFileNotReady(Conflict):
    """A worker has not written the file yet."""

    code = "bank_file_not_ready"


class Written(NamedTuple):
    """A file's bytes, from their beginning, and what they are."""

    file: BinaryIO
    sha256: bytes
    size_bytes: int


def write(bank_file_id: int) -> None:
    """Write a file that was made, check it, and book its lines as in transit; harmless to repeat.

    What does not let it be written stands on the file, and is tried again with a later sweep.
    """
    try:
        _write(bank_file_id)
    except GovPayError as error:
        log.error("bank_file_not_written", bank_file=bank_file_id, code=error.code)
        BankFile.objects.filter(pk=bank_file_id).update(problem=error.message[:300])
        if isinstance(error, agreed.ApprovalForged):
            agreed.alarm(error)


def _write(bank_file_id: int) -> None:
    """Write it; raise BadMessage where a line cannot stand in a message of this kind, and what its origin refuses."""
    found = BankFile.objects.get(pk=bank_file_id)
    if found.status != BankFileStatus.WAITING:
        return
    origin = bank_origins.of(found)
    origin.check(found)
    written = _spool(found)
    with contextlib.closing(written.file):
        count = sum(
            1 for _ in schema.elements(written.file, transfer.KIND, ["CdtTrfTxInf"], most_bytes=MOST_BYTES)
        )
    if count != found.line_count:
        raise BankFileChanged(f"The file has {count} transfers, not {found.line_count}.", bank_file=found.pk)
    with transaction.atomic():
        locked = BankFile.objects.select_for_update().get(pk=bank_file_id)
        if locked.status != BankFileStatus.WAITING:
            return
        was = audit.digest(locked)
        now = timezone.now()
        move(
            BankFile.objects.filter(pk=locked.pk),
            old=BankFileStatus.WAITING,
            new=BankFileStatus.READY,
            sha256=written.sha256,
            size_bytes=written.size_bytes,
            written_at=now,
            problem="",
        )
        locked.refresh_from_db()
        origin.written(locked, now)
        audit.record("bank_file.write", locked, scope=locked.scope, reason=written.sha256.hex(), before=was)


def fetch(
    *, by: User, bank_file_id: int, may: Callable[[User, BankFile], None] | None = None
) -> tuple[BankFile, BinaryIO]:
    """Return a file and its bytes for the bank; the first time it counts as brought there.

    ``may`` raises unless the user may have it; without one its origin says. Raises NotFound, RoleMissing, EngineStopped,
    BankFileNotReady, and BankFileChanged unless the bytes are those that were written.
    """
    found = BankFile.objects.filter(pk=bank_file_id).first()
    if found is None:
        raise NotFound("There is no such file in your programs.")
    (may or bank_origins.of(found).require)(by, found)
    guard.require_runs()
    if found.status == BankFileStatus.WAITING:
        raise BankFileNotReady(found.problem or "A worker writes the file; ask again in some seconds.")
    written = _spool(found)
    if written.sha256 != bytes(found.sha256 or b""):
        written.file.close()
        raise BankFileChanged("The lines are not those of the file that was written.", bank_file=found.pk)
    with transaction.atomic():
        locked = BankFile.objects.select_for_update().get(pk=found.pk)
        was = audit.digest(locked)
        if locked.status == BankFileStatus.READY:
            move(
                BankFile.objects.filter(pk=locked.pk),
                old=BankFileStatus.READY,
                new=BankFileStatus.FETCHED,
                actor_id=by.pk,
                fetched_by_id=by.pk,
                fetched_at=timezone.now(),
            )
        audit.record("bank_file.fetch", locked, by=by, scope=locked.scope, before=was)
    locked.refresh_from_db()
    return locked, written.file


def _spool(bank_file: BankFile) -> Written:
    """Write a file where nobody else reads it, and return it from its beginning with its hash."""
    out = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - whoever takes it closes it.
    hashing = _Hashing(cast(BinaryIO, out))
    transfer.write(bank_files.head(bank_file), bank_files.transfers(bank_file), cast(BinaryIO, hashing))
    out.seek(0)
    return Written(cast(BinaryIO, out), hashing.sha256.digest(), hashing.size_bytes)


class _Hashing:
    """A file that is hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size_bytes += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()
