"""Imports in the admin: a file brought, its check followed, its first rows looked at, confirmed or taken back."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.errors import GovPayError
from payments.admin import cells, forms, import_pages, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.admin.tables import Notice, Table, history
from payments.models import ImportJob, Role
from payments.models.intake import IntakeKind
from payments.selectors import imports as selector
from payments.services import imports
from payments.states import ImportStatus

# The page is loaded again while a worker is at the file.
REFRESH_S = 3
MOVING = (ImportStatus.WAITING, ImportStatus.CHECKING, ImportStatus.LOADING)
NEXT = {
    ImportStatus.WAITING: "A worker takes the file in some seconds. This page follows it by itself.",
    ImportStatus.CHECKING: "Every row is checked. Nothing of the file counts yet; this page follows by itself.",
    ImportStatus.READY: "Look at the totals and the first rows, then confirm or withdraw. Nothing counts yet.",
    ImportStatus.LOADING: "It is written, whole or not at all. This page follows by itself.",
}


@admin.register(ImportJob)
class ImportJobAdmin(ProgramScopedAdmin):
    """Files that are imported in the background; every button is one service call."""

    noun = "Import"
    list_display = ("number", "kind_name", "program", "state", "progress", "bad", "who", "at")
    list_select_related = ("program", "made_by")
    list_filter = (ProgramFilter, ("status", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter))
    date_hierarchy = "made_at"
    search_fields = ("pk",)
    search_help_text = "Search by number"
    actions_list = ("bring_people", "bring_list", "people_template", "list_template", "money_template")
    actions_detail = ("confirm", "withdraw", "errors")
    when_empty = "Nobody imported a file in the background yet. An officer begins with a button above."
    fieldsets = (
        (None, {"fields": ("state", "program", "kind_name", "progress", "why")}),
        (
            "Control totals",
            {"fields": ("cycle_name", "rows", "bad", "expected", "sum_found", "sum_expected")},
        ),
        ("File", {"fields": ("file", "size", "hash", "who", "at", "confirmed", "became")}),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the imports of the user's programs with what their pages show."""
        return (
            super()
            .get_queryset(request)
            .select_related("program", "made_by", "confirmed_by", "intake__disbursement")
        )

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer the ways in to officers."""
        return super().get_actions_list(request) if scope.programs_as(request, Role.OFFICER).exists() else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the status allows to officers of the program."""
        row = self.get_object(request, str(object_id))
        if row is None or not scope.holds(request, row.program_id, Role.OFFICER):
            return []
        is_maker = row.kind == IntakeKind.PEOPLE or row.made_by_id == request.user.pk
        names = {
            "confirm": row.status == ImportStatus.READY and is_maker,
            "withdraw": row.status in imports.CANCELLABLE,
            "errors": row.emptied_at is None and row.errors_count + bool(row.code) > 0,
        }
        return [self.get_unfold_action(name) for name in self.actions_detail if names[name]]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **kw: Any
    ) -> Any:
        """Have the browser load the page again while a worker is at the file; no script is needed."""
        response = super().changeform_view(request, object_id, *args, **kw)
        row = None if object_id is None else self.get_object(request, object_id)
        if row is not None and row.status in MOVING:
            response["Refresh"] = str(REFRESH_S)
        return response

    @action(description="Import people", url_path="people", icon="group_add", variant=ActionVariant.PRIMARY)
    def bring_people(self, request: HttpRequest) -> HttpResponse:
        """Bring a file of people."""
        return import_pages.bring(
            self, request, "Import people", import_pages.PeopleImportForm, imports.ask_people
        )

    @action(description="Import a list", url_path="list", icon="playlist_add", variant=ActionVariant.PRIMARY)
    def bring_list(self, request: HttpRequest) -> HttpResponse:
        """Bring a list with its control totals."""
        return import_pages.bring(self, request, "Import a list", forms.ListForm, imports.ask_list)

    @action(description="Template for people", url_path="people-template", icon="download")
    def people_template(self, request: HttpRequest) -> HttpResponse:
        """Hand out a file of people to fill in."""
        return import_pages.template(request, IntakeKind.PEOPLE)

    @action(description="Template for a list in satoshis", url_path="list-template", icon="download")
    def list_template(self, request: HttpRequest) -> HttpResponse:
        """Hand out a list to fill in."""
        return import_pages.template(request, IntakeKind.LINES)

    @action(description="Template for a list of money", url_path="money-template", icon="download")
    def money_template(self, request: HttpRequest) -> HttpResponse:
        """Hand out a list to fill in whose amounts are minor units, the same in every currency."""
        return import_pages.template(request, IntakeKind.LINES, "USD")

    @action(description="Confirm", url_path="confirm", icon="check", variant=ActionVariant.PRIMARY)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let it count."""
        job = self.get_row(request, object_id)
        help_text = (
            "A worker checks it once more against what was written meanwhile, and writes all or nothing."
        )
        return import_pages.decide(self, request, job, "Confirm", help_text, imports.confirm)

    @action(description="Withdraw", url_path="withdraw", icon="undo", variant=ActionVariant.DANGER)
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take it back."""
        job = self.get_row(request, object_id)
        help_text = "The file and its rows are deleted."
        return import_pages.decide(self, request, job, "Withdraw", help_text, imports.cancel)

    @action(description="Download errors (CSV)", url_path="errors", icon="download")
    def errors(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stream the refused rows with code and message, to officers of the program."""
        job = self.get_row(request, object_id)
        by: Any = request.user
        try:
            _, lines = imports.errors(by=by, job_id=job.pk)
        except GovPayError as error:
            if error.http_status in (403, 404):
                raise PermissionDenied from error
            messages.error(request, error.message)
            return HttpResponseRedirect(cells.page_of(job))
        return StreamingHttpResponse(  # type: ignore[return-value]
            lines,
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="import-{job.pk}-errors.csv"'},
        )

    def notices(self, request: HttpRequest, obj: ImportJob) -> list[Notice]:
        """Say what happens next, or why nothing does."""
        if obj.status in NEXT:
            return [Notice(NEXT[ImportStatus(obj.status)], cells.INFO, "Next")]
        if obj.status == ImportStatus.REFUSED:
            text = f"{obj.message} Nothing of it counts. Correct the file and bring it again."
            return [Notice(text, cells.BAD, "Refused")]
        return []

    def tables(self, request: HttpRequest, obj: ImportJob) -> list[Table]:
        """Show errors by code, the first rows to officers of the program, and the history."""
        found = []
        if faults := selector.faults_by_code(obj.pk):
            rows = [
                (cells.whole(f["code"]), f["column"] or "the row or file", cells.number(f["count"]))
                for f in faults
            ]
            found.append(Table("Errors by code", ("Code", "Column", "Errors"), rows))
        if scope.holds(request, obj.program_id, Role.OFFICER) and (shown := selector.preview(obj)):
            found.append(import_pages.preview(obj, shown))
        return [*found, history("import", obj.pk)]

    @display(description="import")
    def number(self, row: ImportJob) -> str:
        """The row's number."""
        return f"Import {row.pk}"

    @display(description="kind")
    def kind_name(self, row: ImportJob) -> str:
        """What the file lists."""
        return str(row.get_kind_display())

    @display(description="status")
    def state(self, row: ImportJob) -> str:
        """Where it stands."""
        return cells.status_of(row)

    @display(description="checked")
    def progress(self, row: ImportJob) -> str:
        """How many rows are checked, and a bar."""
        text = f"{row.rows_done:,} of {row.rows_total:,} rows"
        return format_html(
            '<progress max="{}" value="{}" aria-label="{}"></progress> {}',
            max(row.rows_total, 1),
            row.rows_done,
            text,
            text,
        )

    @display(description="why")
    def why(self, row: ImportJob) -> str:
        """Why it was refused or given up."""
        return cells.long(row.message)

    @display(description="cycle")
    def cycle_name(self, row: ImportJob) -> str:
        """A list's period and purpose."""
        return cells.long(f"{row.period} {row.purpose}".strip())

    @display(description="rows")
    def rows(self, row: ImportJob) -> str:
        """How many rows the file has."""
        return cells.number(row.rows_total)

    @display(description="wrong rows")
    def bad(self, row: ImportJob) -> str:
        """How many are wrong."""
        return cells.number(row.errors_count)

    @display(description="rows expected")
    def expected(self, row: ImportJob) -> str:
        """The control total of rows."""
        return cells.number(row.expected_count)

    @display(description="total")
    def sum_found(self, row: ImportJob) -> str:
        """What the list pays."""
        return cells.money(row.total, row.program)

    @display(description="total expected")
    def sum_expected(self, row: ImportJob) -> str:
        """The control total of amounts."""
        return cells.money(row.expected_total, row.program)

    @display(description="file")
    def file(self, row: ImportJob) -> str:
        """The file's name."""
        return cells.long(row.filename)

    @display(description="bytes")
    def size(self, row: ImportJob) -> str:
        """The file's size."""
        return cells.number(row.size_bytes)

    @display(description="SHA-256")
    def hash(self, row: ImportJob) -> str:
        """The file's hash."""
        return cells.whole(row.sha256)

    @display(description="brought by")
    def who(self, row: ImportJob) -> str:
        """Who brought it."""
        return cells.person(row.made_by)

    @display(description="brought")
    def at(self, row: ImportJob) -> str:
        """When."""
        return cells.moment(row.made_at)

    @display(description="confirmed")
    def confirmed(self, row: ImportJob) -> str:
        """Who let it count, and when."""
        if row.confirmed_by is None:
            return cells.EMPTY
        return cells.join(cells.person(row.confirmed_by), cells.moment(row.confirmed_at))

    @display(description="became")
    def became(self, row: ImportJob) -> str:
        """The record of the file, and the list that it made."""
        if row.intake is None:
            return cells.EMPTY
        made = getattr(row.intake, "disbursement", None)
        return cells.join(
            cells.link(row.intake, f"File {row.intake_id}"),
            "" if made is None else cells.link(made, f"List {made.pk}"),
        )
