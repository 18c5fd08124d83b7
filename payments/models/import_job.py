"""Files that are imported in the background: what was asked, how far it is, the stored file, its rows and their faults."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from payments.models.history import Tracked
from payments.models.intake import Intake, IntakeKind
from payments.models.program import Program
from payments.states import ImportStatus

USER = settings.AUTH_USER_MODEL


class ImportJobs(models.QuerySet["ImportJob"]):
    """Which of them there are."""

    def waiting(self) -> "ImportJobs":
        """Return those that have work and no worker."""
        free = Q(lease_until=None) | Q(lease_until__lt=Now())
        at_work = (ImportStatus.WAITING, ImportStatus.CHECKING, ImportStatus.LOADING)
        return self.filter(free, status__in=at_work).order_by("pk")


class ImportJob(Tracked):
    """A file that somebody brought. ``lease_token`` fences: a worker that lost its lease writes nothing.

    ``rows_done`` is the number of the last row that is checked; ``rows_total`` counts line ends until the file was read.
    ``columns`` says in which column, from 1, each field is, where the header does not; ``header_mac`` knows that header
    again, which shows a person where a file has none. Stored file, rows and faults are deleted after a while, at
    ``emptied_at``; what became of the file stays.
    """

    status_subject = "import"
    program_path = "program_id"

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="import_jobs")
    kind = models.CharField(max_length=10, choices=IntakeKind)
    status = models.CharField(
        max_length=10, choices=ImportStatus, default=ImportStatus.WAITING, editable=False
    )
    accept_partial = models.BooleanField(default=False)
    period = models.CharField(max_length=20, blank=True)
    purpose = models.CharField(max_length=40, blank=True)
    is_urgent = models.BooleanField(default=False)
    expected_count = models.PositiveIntegerField(null=True)
    expected_total = models.BigIntegerField(null=True)
    filename = models.CharField(max_length=200, blank=True)
    size_bytes = models.BigIntegerField()
    sha256 = models.BinaryField(max_length=32)
    columns = models.JSONField(null=True)
    header_mac = models.BinaryField(max_length=32, null=True)
    made_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(db_default=Now())
    confirmed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    rows_total = models.PositiveIntegerField(default=0)
    rows_done = models.PositiveIntegerField(default=0)
    errors_count = models.PositiveIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    code = models.CharField(max_length=40, blank=True)
    message = models.CharField(max_length=300, blank=True)
    intake = models.OneToOneField(Intake, null=True, on_delete=models.PROTECT, related_name="import_job")
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    emptied_at = models.DateTimeField(null=True)

    objects = ImportJobs.as_manager()

    class Meta:
        verbose_name = "import"
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="people")
                | Q(expected_count__isnull=False, expected_total__isnull=False)
                & ~Q(period="")
                & ~Q(purpose=""),
                name="importjob_list_has_control_totals",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["loading", "done"]) | Q(confirmed_by__isnull=False),
                name="importjob_confirmed_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(status="done") | Q(intake__isnull=False), name="importjob_done_has_an_intake"
            ),
            models.CheckConstraint(
                condition=Q(columns__isnull=True, header_mac__isnull=True)
                | Q(columns__isnull=False, header_mac__isnull=False) & ~Q(status="mapping"),
                name="importjob_columns_with_their_header",
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(status__in=["waiting", "checking", "loading"]),
                name="importjob_at_work",
            ),
            models.Index(fields=["finished_at"], condition=Q(emptied_at=None), name="importjob_to_empty"),
            models.Index(
                fields=["program", "kind", "header_mac"],
                condition=Q(header_mac__isnull=False),
                name="importjob_of_header",
            ),
        ]

    def __str__(self) -> str:
        return f"Import {self.pk}"


class ImportPart(models.Model):
    """A part of a file, encrypted, because it holds what is known of people before anybody looked at it."""

    job = models.ForeignKey(ImportJob, on_delete=models.PROTECT, related_name="parts", db_index=False)
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="importpart_once")]

    def __str__(self) -> str:
        return f"part {self.number} of import {self.job_id}"


class ImportRow(models.Model):
    """A row that is checked, as it would be stored: of a person, or of a list.

    The database does not look up its job for each row: the worker that writes it holds the job's row.
    """

    pk = models.CompositePrimaryKey("job_id", "row")
    job = models.ForeignKey(
        ImportJob, on_delete=models.DO_NOTHING, related_name="rows", db_constraint=False, db_index=False
    )
    row = models.IntegerField()
    reference = models.TextField(null=True)
    identity_hash = models.BinaryField(null=True)
    personal = models.BinaryField(null=True)
    script_pubkey = models.BinaryField(null=True)
    consent_text_id = models.BigIntegerField(null=True)
    consent_date = models.DateField(null=True)
    amount = models.BigIntegerField(null=True)
    is_bad = models.BooleanField()

    def __str__(self) -> str:
        return f"row {self.row} of import {self.job_id}"


class ImportFault(models.Model):
    """One broken rule: its row (the first data row is 1; 0 is the file itself), column, code and message."""

    job = models.ForeignKey(ImportJob, on_delete=models.PROTECT, related_name="faults", db_index=False)
    row = models.PositiveIntegerField()
    column = models.CharField(max_length=40, blank=True)
    code = models.CharField(max_length=40)
    message = models.CharField(max_length=300)

    class Meta:
        ordering = ["row", "id"]
        constraints = [
            models.UniqueConstraint(fields=["job", "row", "column", "code"], name="importfault_once")
        ]

    def __str__(self) -> str:
        return f"row {self.row} {self.column}: {self.message}"
