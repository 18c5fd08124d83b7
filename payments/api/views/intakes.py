"""Files that came in, and every row of them that was refused."""

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api import problems
from govpay.api.pagination import OldestFirst
from ledger.exports import spreadsheet
from payments.api import filters
from payments.api.serializers import people as serializers
from payments.api.views.scoped import Scoped, ScopedList
from payments.models import Intake, IntakeError
from payments.models.intake import IntakeStatus
from payments.selectors import people as selector

SHOWN_ERRORS = 100
COLUMNS = ("row", "column", "code", "message")


def refused_or(intake: Intake, made: Any) -> Response:
    """Return 201 with what was made, or 422 with the file's first errors.

    A refusal is answered, not raised: raising would roll back the record of what was refused.
    """
    if intake.status == IntakeStatus.LOADED:
        return Response(made, status.HTTP_201_CREATED)
    errors = [
        {name: error[name] for name in COLUMNS} for error in selector.intake_errors(intake.pk)[:SHOWN_ERRORS]
    ]
    body = problems.problem(
        "intake_refused",
        status.HTTP_422_UNPROCESSABLE_ENTITY,
        f"Nothing was loaded: {intake.rows_refused} of {intake.rows_total} rows are refused, "
        "or the file as a whole; see errors.",
        errors=errors,
        intake_id=intake.pk,
        rows_total=intake.rows_total,
        rows_loaded=intake.rows_loaded,
        rows_refused=intake.rows_refused,
    )
    return Response(body, status.HTTP_422_UNPROCESSABLE_ENTITY, content_type=problems.CONTENT_TYPE)


class IntakeList(ScopedList):
    """The files of a program."""

    serializer_class = serializers.IntakeOut
    filterset_class = filters.Intakes
    queryset = Intake.objects.none()

    def get_queryset(self) -> QuerySet[Intake]:
        """Return the files of the program in the address."""
        return selector.intakes(self.request.user).filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="intakes_list", tags=["people"], responses={200: serializers.IntakeOut(many=True)}
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List files, newest first."""
        return self.page(request)


class IntakeDetail(Scoped):
    """One file."""

    @extend_schema(operation_id="intakes_read", tags=["people"], responses={200: serializers.IntakeOut})
    def get(self, request: Request, intake_id: int) -> Response:
        """Return what became of a file."""
        return Response(serializers.IntakeOut(selector.intakes(request.user).get(pk=intake_id)).data)


class IntakeErrors(ScopedList):
    """What was refused, and why."""

    serializer_class = serializers.IntakeErrorOut
    pagination_class = OldestFirst
    queryset = IntakeError.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return the errors of the file in the address."""
        return selector.intake_errors(self.kwargs["intake_id"])

    @extend_schema(
        operation_id="intakes_errors_list",
        tags=["people"],
        responses={200: serializers.IntakeErrorOut(many=True)},
    )
    def get(self, request: Request, intake_id: int) -> Response:
        """List broken rules in the file's order."""
        return self.page(request)


class IntakeErrorsFile(Scoped):
    """What was refused, as a file for a spreadsheet."""

    limit = "exports"

    @extend_schema(
        operation_id="intakes_errors_download",
        tags=["people"],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request, intake_id: int) -> StreamingHttpResponse:
        """Return all errors that were kept as CSV; cells that look like formulas are made harmless."""
        response = StreamingHttpResponse(_lines(intake_id), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="intake-{intake_id}-errors.csv"'
        return response


def _lines(intake_id: int) -> Iterator[str]:
    yield spreadsheet.line(COLUMNS)
    for error in selector.intake_errors(intake_id).iterator(chunk_size=2_000):
        yield spreadsheet.line([error[name] for name in COLUMNS])
