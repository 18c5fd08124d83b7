"""Files that came in: what was in them, who brought them, and every row that was refused."""

from django.conf import settings
from django.db import models

from payments.models.program import Program


class IntakeKind(models.TextChoices):
    """What a file lists."""

    PEOPLE = "people", "People"
    LINES = "lines", "Disbursement lines"


class IntakeStatus(models.TextChoices):
    """What became of a file; it never changes."""

    LOADED = "loaded", "Loaded"
    REFUSED = "refused", "Refused"


class Intake(models.Model):
    """One file. A refused one left nothing behind but this row and its errors."""

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="intakes")
    kind = models.CharField(max_length=10, choices=IntakeKind)
    status = models.CharField(max_length=10, choices=IntakeStatus)
    filename = models.CharField(max_length=200, blank=True)
    sha256 = models.BinaryField(max_length=32)
    rows_total = models.PositiveIntegerField()
    rows_loaded = models.PositiveIntegerField()
    rows_refused = models.PositiveIntegerField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["program", "kind", "sha256"], name="intake_file")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk} ({self.status})"


class IntakeError(models.Model):
    """One broken rule: its row (the first data row is 1; 0 is the file itself), column, code and message."""

    intake = models.ForeignKey(Intake, on_delete=models.CASCADE, related_name="errors")
    row = models.PositiveIntegerField()
    column = models.CharField(max_length=40, blank=True)
    code = models.CharField(max_length=40)
    message = models.CharField(max_length=300)

    class Meta:
        ordering = ["row", "id"]

    def __str__(self) -> str:
        return f"row {self.row} {self.column}: {self.message}"
