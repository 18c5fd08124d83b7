"""Packs in the background: asked for, made by whichever worker comes first, kept for a while, handed out, forgotten.

The row is the work. A worker claims it under a lease that it renews while it lives; where it dies another one starts anew.
"""

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import IO, Any

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.module_loading import import_string

from govpay.errors import Conflict, Forbidden, GovPayError, NotFound
from ledger import audit
from ledger.models import Checkpoint, PackJob, PackPart, PackStatus
from ledger.packs import build, sink
from ledger.packs.selection import Asked, NothingSealed, resolve

log = structlog.get_logger(__name__)

RIGHT = "ledger.make_pack"
# Of one person that are not made yet.
MOST_OPEN = 5
MOST_ATTEMPTS = 3
LEASE = timedelta(seconds=60)
# Whoever looks at a job that is made sees a figure no older than this.
RENEW_S = 1
KEPT = timedelta(days=7)
PART_BYTES = 1 << 20


class TooManyPacks(Conflict):
    """Others that the same person asked for are not made yet."""

    code = "too_many_packs"


class PackNotThere(Conflict):
    """The pack is not made yet, could not be made, or its file was deleted."""

    code = "pack_not_there"


def ask(*, by: User, kind: str, name: str = "", scope: str = "") -> PackJob:
    """Ask for a pack; raise Forbidden, NotFound, InvalidInput, selection.NothingSealed, TooManyPacks."""
    _require(by)
    newest = Checkpoint.objects.select_related("seal").order_by("-seal__size").first()
    if newest is None:
        raise NothingSealed("There is no checkpoint of the books yet, so that a pack could prove nothing.")
    resolve(Asked(kind, name, scope), newest)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=by.pk)
        mine = _open().filter(asked_by=by.get_username()).count()
        if mine >= MOST_OPEN:
            raise TooManyPacks(f"{mine} packs that you asked for are not made yet.", most=MOST_OPEN)
        job = PackJob.objects.create(kind=kind, name=name, scope=scope, asked_by=by.get_username())
        audit.record("pack.ask", job, by=by, scope=scope)
        _ring(job.pk)
        return job


def get(*, by: User, job_id: int) -> PackJob:
    """Return a job; raise Forbidden, NotFound."""
    _require(by)
    found = PackJob.objects.filter(pk=job_id).first()
    if found is None:
        raise NotFound(f"There is no pack {job_id}.")
    return found


def download(*, by: User, job_id: int) -> tuple[PackJob, Iterator[bytes]]:
    """Return a pack's file in parts; raise Forbidden, NotFound, PackNotThere."""
    job = get(by=by, job_id=job_id)
    if job.status != PackStatus.DONE:
        message = f"Pack {job_id} is {job.get_status_display().lower()}. {job.message}".rstrip()
        raise PackNotThere(message, status=job.status)
    log.info("pack_downloaded", job_id=job_id, by=by.get_username())
    return job, _parts(job)


def waiting() -> "QuerySet[PackJob, PackJob]":
    """Return the jobs that no worker is at."""
    return _open().filter(Q(lease_until=None) | Q(lease_until__lt=Now())).order_by("pk")


def run(job_id: int) -> None:
    """Make a pack, unless another worker is at it or it is made. Harmless to repeat."""
    job = _claim(job_id)
    if job is None:
        return
    with tempfile.TemporaryFile() as file, _Pulse(job) as pulse:
        try:
            with closing(sink.Zip(file)) as to:
                asked = Asked(job.kind, job.name, job.scope)
                build.build(asked, to, now=timezone.now(), progress=pulse.note)
        except GovPayError as error:
            log.warning("pack_failed", job_id=job.pk, code=error.code, reason=error.message)
            _mine(job).update(
                status=PackStatus.FAILED, code=error.code, message=error.message[:300], finished_at=Now()
            )
            return
        _keep(job, file, entries=pulse.seen[2])


def forget() -> None:
    """Delete the files of packs that were made long ago; they can be made again."""
    old = PackJob.objects.filter(status=PackStatus.DONE, finished_at__lt=Now() - KEPT)
    for pk in list(old.values_list("pk", flat=True)):
        with transaction.atomic():
            if old.filter(pk=pk).update(status=PackStatus.EXPIRED):
                PackPart.objects.filter(job=pk).delete()


@transaction.atomic
def black_out(leaf: int) -> None:
    """Delete every file that may show a leaf, with the redaction that blacks it out, in its database transaction.

    That is all of them, because nobody keeps which leaves a file shows. What is being made begins anew. The lock waits for
    whoever stores a file, and keeps others from beginning, until the redaction can be seen: no file slips through.
    """
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE ledger_packjob IN SHARE ROW EXCLUSIVE MODE")
    message = (
        f"The file was deleted when leaf {leaf} was blacked out. Ask for it again: it is made without it."
    )
    made = PackJob.objects.filter(status=PackStatus.DONE)
    PackPart.objects.filter(job__in=made).delete()
    made.update(status=PackStatus.EXPIRED, code="redacted", message=message)
    running = PackJob.objects.filter(status=PackStatus.RUNNING)
    for pk in list(running.values_list("pk", flat=True)):
        _ring(pk)
    # The worker finds its lease lost, and its try does not count.
    running.update(
        status=PackStatus.WAITING,
        attempts=F("attempts") - 1,
        lease_token=F("lease_token") + 1,
        lease_until=None,
        step="",
        done=0,
    )


class _Pulse:
    """Renews a job's lease, and writes down how far it has come, from a thread with a connection of its own.

    The job itself reads one snapshot, in a database transaction that writes nothing.
    """

    def __init__(self, job: PackJob) -> None:
        self.job = job
        self.seen: tuple[str, int, int] = ("", 0, 0)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._beat, name=f"pack-{job.pk}", daemon=True)

    def __enter__(self) -> "_Pulse":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop.set()
        self.thread.join()

    def note(self, step: str, done: int, total: int) -> None:
        """Hear from the builder how far it is."""
        self.seen = (step, done, total)

    def _beat(self) -> None:
        try:
            while not self.stop.wait(RENEW_S):
                step, done, total = self.seen
                _mine(self.job).update(step=step, done=done, total=total, lease_until=Now() + LEASE)
        finally:
            connection.close()


def _ring(job_id: int) -> None:
    """Wake a worker after the commit; where nobody hears it, the next sweep finds the row."""
    import_string(settings.LEDGER_DOORBELL)("build_pack", job_id=job_id)


def _claim(job_id: int) -> PackJob | None:
    """Take a job that nobody is at; give one up that killed its workers."""
    with transaction.atomic():
        job = waiting().select_for_update(skip_locked=True).filter(pk=job_id).first()
        if job is None:
            return None
        if job.attempts >= MOST_ATTEMPTS:
            message = f"Its worker died {job.attempts} times."
            PackJob.objects.filter(pk=job_id).update(
                status=PackStatus.FAILED, code="worker_died", message=message, finished_at=Now()
            )
            return None
        PackJob.objects.filter(pk=job_id).update(
            status=PackStatus.RUNNING,
            attempts=F("attempts") + 1,
            lease_token=F("lease_token") + 1,
            lease_until=Now() + LEASE,
        )
        return PackJob.objects.get(pk=job_id)


def _keep(job: PackJob, file: IO[bytes], *, entries: int) -> None:
    """Store the file and end the job in one database transaction, unless the lease was lost."""
    digest = hashlib.sha256()
    with transaction.atomic():
        if not _mine(job).select_for_update().exists():
            log.warning("pack_lease_lost", job_id=job.pk)
            return
        size = file.tell()
        file.seek(0)
        for number, data in enumerate(iter(lambda: file.read(PART_BYTES), b"")):
            digest.update(data)
            PackPart.objects.create(job=job, number=number, data=data)
        _mine(job).update(
            status=PackStatus.DONE,
            step="",
            size_bytes=size,
            sha256=digest.digest(),
            done=entries,
            total=entries,
            finished_at=Now(),
            lease_until=None,
        )


def _parts(job: PackJob) -> Iterator[bytes]:
    for number in range(-(-(job.size_bytes or 0) // PART_BYTES)):
        data: Any = PackPart.objects.values_list("data", flat=True).get(job=job, number=number)
        yield bytes(data)


def _open() -> "QuerySet[PackJob, PackJob]":
    return PackJob.objects.filter(status__in=(PackStatus.WAITING, PackStatus.RUNNING))


def _mine(job: PackJob) -> "QuerySet[PackJob, PackJob]":
    return PackJob.objects.filter(pk=job.pk, lease_token=job.lease_token, status=PackStatus.RUNNING)


def _require(by: User) -> None:
    if not by.has_perm(RIGHT):
        raise Forbidden(f"Evidence packs need the permission {RIGHT}.")
