"""Imports in the admin: a file brought, its check followed, its first rows looked at, confirmed or taken back."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import reverse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from govpay.errors import GovPayError
from govpay.said import said
from payments.admin import (
    cells,
    import_columns,
    import_pages,
    import_progress,
    import_rows,
    import_steps,
    scope,
)
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.admin.import_facts import ImportFacts
from payments.admin.tables import Notice, Table, history
from payments.models import ImportJob, Role
from payments.models.intake import IntakeKind
from payments.selectors import imports as selector
from payments.services import imports
from payments.states import ImportStatus

# What an officer does next, and what became of it.
SAID = {
    ImportStatus.MAPPING: (
        "Say what its columns hold, or withdraw it. Nothing counts yet.",
        cells.INFO,
        "Next",
    ),
    ImportStatus.READY: (
        "Look at the totals and the first rows, then confirm or withdraw. Nothing counts yet.",
        cells.INFO,
        "Next",
    ),
}


@dataclass(frozen=True)
class Turn:
    """A button that leads to the next step, or out."""

    text: str
    url: str
    variant: str


OF_ALL = ("state", "program", "kind_name", "became")
TOTALS = {
    IntakeKind.PEOPLE: ("rows", "bad", "expected"),
    IntakeKind.LINES: ("cycle_name", "rows", "bad", "expected", "sum_found", "sum_expected"),
}
OF_FILE = ("file", "mapped", "size", "hash", "who", "at", "confirmed")


@admin.register(ImportJob)
class ImportJobAdmin(ImportFacts, ProgramScopedAdmin):
    """Files that are imported in the background; every button is one service call."""

    noun = "Import"
    list_display = ("number", "kind_name", "program", "state", "progress", "bad", "who", "at")
    list_select_related = ("program", "made_by")
    list_filter = (ProgramFilter, ("status", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter))
    date_hierarchy = "made_at"
    search_fields = ("pk",)
    search_help_text = "Search by number"
    actions_list = ("bring_people", "bring_list", "people_template", "list_template", "money_template")
    actions_detail = ("columns", "confirm", "withdraw", "errors")
    change_form_template = "payments/admin/import_job.html"
    when_empty = "Nobody imported a file in the background yet. An officer begins with a button above."
    fields = (*OF_ALL, *TOTALS[IntakeKind.LINES], *OF_FILE)

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

    def get_fieldsets(self, request: HttpRequest, obj: ImportJob | None = None) -> Any:
        """Show what a file of this kind has."""
        kind = IntakeKind.LINES if obj is None else IntakeKind(obj.kind)
        parts = (("Control totals", TOTALS[kind]), (None, OF_ALL), ("File", OF_FILE))
        return [(name, {"fields": fields}) for name, fields in parts]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer nothing beside the title: what comes next stands in the page, where a telephone shows it too."""
        return []

    def turns(self, request: HttpRequest, row: ImportJob) -> list[Turn]:
        """Return what the status allows to an officer of the program."""
        is_maker = row.kind == IntakeKind.PEOPLE or row.made_by_id == request.user.pk
        page = cells.page_of(row)
        found = {
            "columns": ("Say its columns", "primary", row.status == ImportStatus.MAPPING and is_maker),
            "confirm": ("Confirm", "primary", row.status == ImportStatus.READY and is_maker),
            "withdraw": ("Withdraw", "danger", row.status in imports.CANCELLABLE),
        }
        turns = [
            Turn(text, page.replace("/change/", f"/{name}/"), variant)
            for name, (text, variant, is_offered) in found.items()
            if is_offered
        ]
        if row.status in (ImportStatus.REFUSED, ImportStatus.CANCELLED):
            verb = "bring_people" if row.kind == IntakeKind.PEOPLE else "bring_list"
            again = f"{reverse(f'admin:payments_importjob_{verb}')}?program={row.program_id}"
            turns.append(Turn("Bring another file", again, "primary"))
        return turns

    def get_custom_urls(self) -> tuple[tuple[str, str, Any], ...]:
        """Add the part of the page that asks for itself again."""
        return (("<path:object_id>/progress/", "payments_importjob_progress", self.followed),)

    def followed(self, request: HttpRequest, object_id: str, model_admin: Any = None) -> HttpResponse:
        """Return how far the worker is."""
        return import_progress.answer(request, self.get_row(request, object_id))

    @action(description="Import people", url_path="people", icon="group_add", variant=ActionVariant.PRIMARY)
    def bring_people(self, request: HttpRequest) -> HttpResponse:
        """Bring a file of people."""
        return import_pages.bring(
            self, request, "Import people", import_pages.PeopleImportForm, imports.ask_people
        )

    @action(description="Import a list", url_path="list", icon="playlist_add", variant=ActionVariant.PRIMARY)
    def bring_list(self, request: HttpRequest) -> HttpResponse:
        """Bring a list with its control totals."""
        return import_pages.bring(
            self, request, "Import a list", import_pages.ListImportForm, imports.ask_list
        )

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

    @action(
        description="Say its columns", url_path="columns", icon="view_column", variant=ActionVariant.PRIMARY
    )
    def columns(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say which column holds what."""
        return import_columns.say(self, request, self.get_row(request, object_id))

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
        help_text = (
            "The file, its rows and its errors are deleted; that it was here and was taken back stays."
        )
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
        if obj.status in SAID:
            return [Notice(*SAID[ImportStatus(obj.status)])]
        if obj.status == ImportStatus.CANCELLED:
            text = said("Nothing of it counts. The file, its rows and its errors are deleted.")
            return [Notice(f"{said(obj.message)} {text}".strip(), cells.PLAIN, "Taken back")]
        if obj.status == ImportStatus.REFUSED:
            text = said("Nothing of it counts. Correct the file and bring it again.")
            return [Notice(f"{said(obj.message)} {text}", cells.BAD, "Refused")]
        if obj.status == ImportStatus.DONE and obj.intake is not None:
            is_people = obj.kind == IntakeKind.PEOPLE
            what = "{0} people are enrolled." if is_people else "{0} payments are in a draft list."
            text = said(what, f"{obj.intake.rows_loaded:,}")
            if obj.intake.rows_refused:
                text += " " + said("Wrong rows that were left out: {0}.", f"{obj.intake.rows_refused:,}")
            return [Notice(text, cells.GOOD, "It counts")]
        return []

    def parts(self, request: HttpRequest, obj: ImportJob) -> dict[str, Any]:
        """Show the steps, how far a worker is, and to officers of the program the rows that are wrong."""
        is_officer = scope.holds(request, obj.program_id, Role.OFFICER)
        return {
            "steps": import_steps.of_job(obj),
            "progress": import_progress.of_job(obj),
            "preview": self.preview(obj) if is_officer else [],
            "turns": self.turns(request, obj) if is_officer else [],
            "bad": import_rows.of_job(request.user, obj) if is_officer else None,
        }

    def tables(self, request: HttpRequest, obj: ImportJob) -> list[Table]:
        """Show errors by code, and the history."""
        found = []
        if faults := selector.faults_by_code(obj.pk):
            rows = [
                (
                    cells.whole(f["code"]),
                    cells.whole(f["column"]) if f["column"] else "the row or file",
                    cells.number(f["count"]),
                )
                for f in faults
            ]
            found.append(Table("Errors by code", ("Code", "Column", "Errors"), rows))
        return [*found, history("import", obj.pk)]

    def preview(self, obj: ImportJob) -> list[Table]:
        """Return the first rows as they would be stored, while that is to be decided."""
        shown = selector.preview(obj) if obj.status == ImportStatus.READY else []
        return [import_pages.preview(obj, shown)] if shown else []
