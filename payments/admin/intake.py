"""Files that came in, and every row that was refused, in the admin."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from govpay.said import said
from ledger.exports import spreadsheet
from payments.admin import cells
from payments.admin.base import ProgramScopedAdmin, is_hash
from payments.admin.filters import ProgramFilter
from payments.admin.tables import Notice, Table
from payments.models import Disbursement, Intake, IntakeError
from payments.models.intake import IntakeKind, IntakeStatus

SHOWN = 100


@admin.register(Intake)
class IntakeAdmin(ProgramScopedAdmin):
    """Uploads with their counts and errors."""

    noun = "File"
    list_display = ("number", "kind_name", "program", "state", "file", "loaded", "refused", "who", "at")
    list_select_related = ("program", "created_by")
    list_filter = (ProgramFilter, ("status", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter))
    date_hierarchy = "created_at"
    search_fields = ("sha256",)
    search_help_text = "Search by SHA-256 of the file, or by number"
    fields = ("kind_name", "program", "state", "file", "hash", "total", "loaded", "refused", "who", "at")
    actions_detail = ("errors",)
    when_empty = "No file has come in yet. Upload people under Enrollments, or a list under Disbursements."

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by the file's hash or the row's number."""
        return Q(sha256=bytes.fromhex(term)) if is_hash(term) else super().find(request, term)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer the errors where there are any."""
        row = self.get_object(request, str(object_id))
        return super().get_actions_detail(request, object_id) if row is not None and _has_errors(row) else []

    @action(description="Download errors (CSV)", url_path="errors", icon="download")
    def errors(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stream every error as CSV that no spreadsheet takes for formulas."""
        intake = self.get_row(request, object_id)
        rows = IntakeError.objects.filter(intake=intake).order_by("row", "id")
        columns = ("row", "column", "code", "message")

        def lines() -> Iterator[str]:
            yield spreadsheet.line(columns)
            for row in rows.values_list(*columns).iterator(chunk_size=2_000):
                yield spreadsheet.line(row)

        return StreamingHttpResponse(  # type: ignore[return-value]
            lines(),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="intake-{intake.pk}-errors.csv"'},
        )

    def notices(self, request: HttpRequest, obj: Intake) -> list[Notice]:
        """Say what a refusal means."""
        if obj.status == IntakeStatus.REFUSED:
            text = "Nothing of this file was kept. Correct the rows below in the file and upload it again."
            return [Notice(text, cells.BAD, "Refused")]
        return []

    def tables(self, request: HttpRequest, obj: Intake) -> list[Table]:
        """Show the first errors, or the list that came of the file."""
        found = []
        if obj.kind == IntakeKind.LINES and obj.status == IntakeStatus.LOADED:
            made = Disbursement.objects.filter(intake=obj).select_related("cycle").first()
            rows = [] if made is None else [(cells.link(made, f"List {made.pk}"), str(made.cycle))]
            found.append(Table("List", ("List", "Cycle"), rows))
        if _has_errors(obj):
            found.append(
                Table(
                    f"Errors, at most {SHOWN} shown",
                    ("Row", "Column", "Code", "What is wrong"),
                    [
                        (
                            error.row or "file",
                            error.column,
                            cells.whole(error.code),
                            cells.long(said(error.message)),
                        )
                        for error in obj.errors.order_by("row", "id")[:SHOWN]
                    ],
                )
            )
        return found

    @display(description="file number")
    def number(self, intake: Intake) -> str:
        """The row's number."""
        return f"File {intake.pk}"

    @display(description="kind")
    def kind_name(self, intake: Intake) -> str:
        """People or lines."""
        return intake.get_kind_display()

    @display(description="status")
    def state(self, intake: Intake) -> str:
        """What became of it."""
        return cells.status_of(intake)

    @display(description="file name")
    def file(self, intake: Intake) -> str:
        """The name it came with."""
        return cells.long(intake.filename)

    @display(description="SHA-256")
    def hash(self, intake: Intake) -> str:
        """The hash of its bytes."""
        return cells.whole(intake.sha256)

    @display(description="rows")
    def total(self, intake: Intake) -> str:
        """How many rows it had."""
        return cells.number(intake.rows_total)

    @display(description="loaded")
    def loaded(self, intake: Intake) -> str:
        """How many rows were kept."""
        return cells.number(intake.rows_loaded)

    @display(description="refused")
    def refused(self, intake: Intake) -> str:
        """How many rows were wrong."""
        return cells.number(intake.rows_refused)

    @display(description="uploaded by")
    def who(self, intake: Intake) -> str:
        """Who brought it."""
        return cells.person(intake.created_by)

    @display(description="uploaded")
    def at(self, intake: Intake) -> str:
        """When it came."""
        return cells.moment(intake.created_at)


def _has_errors(intake: Intake) -> bool:
    return intake.rows_refused > 0 or intake.status == IntakeStatus.REFUSED
