"""The pages and tables of imports in the admin."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib import messages
from django.forms import IntegerField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets

from govpay.said import said
from payments.admin import cells, forms, import_steps, pages, uploads
from payments.admin.tables import Table
from payments.models import ImportJob
from payments.models.intake import IntakeKind
from payments.models.program import SAT
from payments.selectors import imports as selector
from payments.services import import_files, imports
from payments.states import ImportStatus

ANY_COLUMNS = (
    "UTF-8, separated by commas, with a header. The columns may have any names and any order: where the names are not those"
    " of the template, the next step asks which holds what."
)


class PeopleImportForm(forms.PeopleForm):
    """A file of people, and how many its maker says there are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].help_text = ANY_COLUMNS

    expected_count = IntegerField(
        label="Number of people",
        required=False,
        min_value=0,
        max_value=2**31 - 1,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
        help_text="Control total from whoever made the file, if there is one: a file that disagrees is refused whole.",
    )


class ListImportForm(forms.ListForm):
    """A list whose columns may have any names."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].help_text = ANY_COLUMNS


def bring(
    model_admin: Any, request: HttpRequest, title: str, form_class: type[Any], ask: Callable[..., ImportJob]
) -> HttpResponse:
    """Ask for a file, and let a worker check it."""
    programs = uploads.own_programs(request)

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        upload = cleaned.pop("file")
        job = ask(
            by=request.user,
            program_id=cleaned.pop("program").pk,
            file=cast(Any, upload.file),
            filename=upload.name or "",
            may_ask=True,
            **cleaned,
        )
        messages.success(request, said("Import {0} has begun.", job.pk))
        page = cells.page_of(job)
        is_asked = job.status == ImportStatus.MAPPING
        return HttpResponseRedirect(page.replace("/change/", "/columns/") if is_asked else page)

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=title,
            form_class=form_class,
            form_options={"programs": programs},
            initial={"program": request.GET.get("program")},
            call=call,
            submit="Upload",
            back=cells.list_of(ImportJob),
            steps=import_steps.of_upload(),
            help_text="The file is checked in the background, and counts once you have looked at it and confirmed it.",
        ),
    )


def decide(
    model_admin: Any, request: HttpRequest, job: ImportJob, verb: str, help_text: str, service: Any
) -> HttpResponse:
    """Show what is decided upon, and make the one service call."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        service(by=request.user, job_id=job.pk)
        return HttpResponseRedirect(cells.page_of(job))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"{verb} import {job.pk}",
            form_class=forms.AgreeForm,
            call=call,
            submit=verb,
            back=cells.page_of(job),
            is_dangerous=service is imports.cancel,
            steps=import_steps.of_job(job),
            facts=[
                ("Program", str(job.program)),
                ("File", job.filename or cells.EMPTY),
                ("Rows", cells.number(job.rows_total)),
                ("Wrong rows", cells.number(job.errors_count)),
                *([("Total", cells.money(job.total, job.program))] if job.kind == IntakeKind.LINES else []),
            ],
            help_text=help_text,
        ),
    )


def preview(job: ImportJob, rows: list[dict[str, Any]]) -> Table:
    """Return the first rows, with what is known of people masked."""
    title = f"First rows as they would be stored, at most {selector.SHOWN_ROWS}"
    if job.kind == IntakeKind.LINES:
        return Table(
            title,
            ("Row", "Reference", "Amount"),
            [
                (row["row"], row["reference"], cells.money(row[f"amount_{job.program.unit}"], job.program))
                for row in rows
            ],
        )
    return Table(
        title,
        ("Row", "Reference", "Name", "Telephone", "Address", "Agreed to", "On"),
        [
            (
                row["row"],
                row["reference"],
                cells.long(row["full_name"]),
                row["phone"] or cells.EMPTY,
                cells.whole(row["address"]) if row["address"] else cells.EMPTY,
                row["consent_version"] or cells.EMPTY,
                str(row["consent_date"] or cells.EMPTY),
            )
            for row in rows
        ],
    )


def template(request: HttpRequest, kind: str, currency: str = SAT) -> HttpResponse:
    """Hand out a file to fill in, to officers."""
    uploads.own_programs(request)
    headers = {"Content-Disposition": f'attachment; filename="{kind}.csv"'}
    return HttpResponse(
        import_files.template(kind, currency), content_type="text/csv; charset=utf-8", headers=headers
    )
