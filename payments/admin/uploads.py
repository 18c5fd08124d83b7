"""The ways in: files of people, single persons, and lists of payments with control totals."""

from typing import Any, BinaryIO, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from govpay.said import said
from payments.admin import cells, forms, pages, scope
from payments.models import Disbursement, Enrollment, Intake, Program, Role
from payments.models.intake import IntakeStatus
from payments.services import lists, people


def people_file(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Enroll a file of people; show every broken row in place when it is refused."""
    programs = own_programs(request)

    def call(cleaned: dict[str, Any]) -> HttpResponse | pages.Refusal:
        upload: UploadedFile = cleaned["file"]
        intake = people.import_csv(
            by=request.user,  # type: ignore[arg-type]
            program_id=cleaned["program"].pk,
            file=cast(BinaryIO, upload.file),
            filename=upload.name or "",
            accept_partial=cleaned["accept_partial"],
        )
        if intake.status == IntakeStatus.REFUSED:
            return _refused(intake, "Nobody was enrolled")
        text = f"{intake.rows_loaded:,} people are enrolled in {cleaned['program'].code}"
        if intake.rows_refused:
            messages.warning(request, f"{text}; {intake.rows_refused:,} rows were refused, see below.")
        else:
            messages.success(request, f"{text}.")
        return HttpResponseRedirect(cells.page_of(intake))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title="Upload people",
            form_class=forms.PeopleForm,
            form_options={"programs": programs},
            initial={"program": request.GET.get("program")},
            call=call,
            submit="Check and enroll",
            back=cells.list_of(Enrollment),
            help_text=(
                "Every row is checked before anybody is enrolled: identity, address and network, and whether the "
                "person is here already."
            ),
        ),
    )


def one_person(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Enroll one person by the rules of the file."""
    programs = own_programs(request)

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        enrollment = people.enroll(
            by=request.user,  # type: ignore[arg-type]
            program_id=cleaned["program"].pk,
            reference=cleaned["reference"],
            national_id=cleaned["national_id"],
            full_name=cleaned["full_name"],
            phone=cleaned["phone"],
            address=cleaned["address"],
        )
        messages.success(request, f"{enrollment.reference} is enrolled in {cleaned['program'].code}.")
        return HttpResponseRedirect(cells.page_of(enrollment))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title="Enroll one person",
            form_class=forms.PersonForm,
            form_options={"programs": programs},
            initial={"program": request.GET.get("program")},
            call=call,
            submit="Enroll",
            back=cells.list_of(Enrollment),
            help_text="The national id is kept as a keyed hash only; name and telephone are encrypted.",
        ),
    )


def payment_list(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Make a list from a file; a file that disagrees with its control totals is refused whole."""
    programs = own_programs(request)

    def call(cleaned: dict[str, Any]) -> HttpResponse | pages.Refusal:
        upload: UploadedFile = cleaned["file"]
        intake = lists.create_from_csv(
            by=request.user,  # type: ignore[arg-type]
            program_id=cleaned["program"].pk,
            period=cleaned["period"],
            purpose=cleaned["purpose"],
            file=cast(BinaryIO, upload.file),
            filename=upload.name or "",
            expected_count=cleaned["expected_count"],
            expected_total_sat=cleaned.get("expected_total_sat"),
            expected_total_minor=cleaned.get("expected_total_minor"),
            is_urgent=cleaned["is_urgent"],
        )
        if intake.status == IntakeStatus.REFUSED:
            return _refused(intake, "No list was made")
        made = Disbursement.objects.get(intake=intake)
        messages.success(
            request,
            f"List {made.pk} is a draft with {made.payment_count:,} payments. Check it, then submit it.",
        )
        return HttpResponseRedirect(cells.page_of(made))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title="New list",
            form_class=forms.ListForm,
            form_options={"programs": programs},
            initial={"program": request.GET.get("program")},
            call=call,
            submit="Check and make the list",
            back=cells.list_of(Disbursement),
            help_text="One wrong row, or a control total that disagrees, refuses the whole file.",
        ),
    )


def own_programs(request: HttpRequest) -> QuerySet[Program]:
    """Return the programs where the user is an officer; nobody else has a use for these pages."""
    programs = scope.programs_as(request, Role.OFFICER)
    if not programs:
        raise PermissionDenied
    return programs


def _refused(intake: Intake, what: str) -> pages.Refusal:
    errors = list(
        intake.errors.order_by("row", "id").values("row", "column", "code", "message")[: pages.SHOWN_ERRORS]
    )
    page = cells.page_of(intake)
    return pages.Refusal(
        said("{0}: {1} of {2} rows are wrong.", what, f"{intake.rows_refused:,}", f"{intake.rows_total:,}")
        if intake.rows_refused
        else f"{what}.",
        errors,
        [("Open the file", page), ("Download all errors", page.replace("/change/", "/errors/"))],
    )
