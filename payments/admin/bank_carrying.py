"""The pages on which a treasurer takes a file to the bank, and brings what the bank says of it."""

from typing import Any, BinaryIO, cast

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets

from payments.admin import cells, pages, scope
from payments.admin.forms import AgreeForm, InProgramForm
from payments.models import BankFile, BankReport, Role
from payments.prices import currency
from payments.services import bank_reports, bank_writing
from payments.states import BankFileStatus


class ReportForm(forms.Form):
    """What the bank said."""

    file = forms.FileField(
        label="Report (pain.002)",
        widget=widgets.UnfoldAdminFileFieldWidget(),
        help_text="As the bank gave it. It is taken whole, once, or not at all.",
    )


class ReportInProgramForm(InProgramForm, ReportForm):
    """What the bank said, of a file of which program."""


def is_carrier(request: HttpRequest, row: BankFile) -> bool:
    """Say whether the user takes this file to the bank."""
    return row.program_id is not None and scope.holds(request, row.program_id, Role.TREASURER)


def is_offered(request: HttpRequest, row: BankFile) -> bool:
    """Say whether the user may have this file now."""
    return row.status != BankFileStatus.WAITING and is_carrier(request, row)


def download(model_admin: Any, request: HttpRequest, row: BankFile) -> HttpResponse:
    """Give a file out, once it was said that it goes to the bank."""
    if not is_carrier(request, row):
        raise PermissionDenied
    return give_out(model_admin, request, row, back=cells.page_of(row))


def give_out(model_admin: Any, request: HttpRequest, row: BankFile, *, back: str) -> HttpResponse:
    """Show what is in a file, and hand it to whoever may take it to the bank."""
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        found, file = bank_writing.fetch(by=by, bank_file_id=row.pk)
        answer = FileResponse(
            file, as_attachment=True, filename=found.filename, content_type="application/octet-stream"
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer  # type: ignore[return-value]

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"Take {row.message_id} to the bank",
            form_class=AgreeForm,
            call=call,
            submit="Download",
            back=back,
            facts=[
                ("Transfers", cells.number(row.line_count)),
                ("Total", currency.in_words(row.total_minor, row.currency)),
                ("SHA-256", cells.whole(row.sha256) if row.sha256 else cells.EMPTY),
            ],
            help_text="It names everybody who is paid, with their accounts. Its bytes are the same every time.",
        ),
    )


def tell(request: HttpRequest, made: BankReport) -> None:
    """Say what a report that was taken has settled."""
    text = f"The bank has paid {made.settled_count:,} and rejected {made.rejected_count:,} transfers."
    messages.success(request, text)


def bring(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Take what a bank said of a file."""
    programs = scope.programs_as(request, Role.TREASURER)
    if not programs.exists():
        raise PermissionDenied
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        upload: UploadedFile = cleaned["file"]
        made = bank_reports.take_of_program(
            by=by, program_id=cleaned["program"].pk, file=cast(BinaryIO, upload.file)
        )
        tell(request, made)
        return HttpResponseRedirect(cells.page_of(made.bank_file))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title="Bring the bank's report",
            form_class=ReportInProgramForm,
            form_options={"programs": programs},
            call=call,
            submit="Take the report",
            back=cells.list_of(BankFile),
            help_text="What the bank paid is settled with it; what it rejected is void, and may be paid anew.",
        ),
    )
