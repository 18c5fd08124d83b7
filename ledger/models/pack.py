"""Evidence packs that are made in the background, and the files that came of them."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class PackKind(models.TextChoices):
    """What a pack may be of."""

    ALL = "all", "All books"
    PERIOD = "period", "A period"
    DISBURSEMENT = "disbursement", "A list"


class PackStatus(models.TextChoices):
    """How far a pack has come."""

    WAITING = "waiting", "Waiting"  # For a worker, or for another try after one died.
    RUNNING = "running", "Running"  # A worker is at it.
    DONE = "done", "Done"  # The file can be downloaded.
    FAILED = "failed", "Failed"  # It cannot be made; the message says why.
    EXPIRED = "expired", "Expired"  # The file was deleted; it can be made again.


class PackJob(models.Model):
    """A pack that somebody asked for. ``lease_token`` fences: a worker that lost its lease stores nothing.

    ``done`` of ``total`` entries are written, and ``step`` says what is written now. The file is kept in parts, so that any
    worker can make it and any process hand it out.
    """

    kind = models.CharField(max_length=12, choices=PackKind)
    name = models.CharField(max_length=30, blank=True)
    scope = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=10, choices=PackStatus, default=PackStatus.WAITING)
    asked_by = models.CharField(max_length=150)
    asked_at = models.DateTimeField(db_default=Now())
    step = models.CharField(max_length=40, blank=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    size_bytes = models.BigIntegerField(null=True)
    sha256 = models.BinaryField(max_length=32, null=True)
    code = models.CharField(max_length=40, blank=True)
    message = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = "pack"
        permissions = [
            ("make_pack", "Can make and download evidence packs, which hold the lists of all programs")
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(status="done") | Q(size_bytes__isnull=False, sha256__isnull=False),
                name="packjob_done_has_a_file",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(status__in=["waiting", "running"]), name="packjob_open"),
        ]

    def __str__(self) -> str:
        return f"pack {self.pk}"

    @property
    def filename(self) -> str:
        """The name under which the file is handed out."""
        return f"govpay-pack-{self.pk}.zip"


class PackPart(models.Model):
    """A part of a pack's file, in order."""

    job = models.ForeignKey(PackJob, on_delete=models.PROTECT, related_name="parts")
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="packpart_once")]

    def __str__(self) -> str:
        return f"part {self.number} of pack {self.job_id}"
