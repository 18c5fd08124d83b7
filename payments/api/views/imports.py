"""Imports in the background over HTTP: brought, followed, looked at, confirmed, and their errors and templates."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.parsers import UploadParser
from govpay.api.serializers import Nothing
from payments.api import filters
from payments.api.serializers import imports as serializers
from payments.api.views.scoped import Scoped, ScopedList
from payments.models import ImportJob, Role
from payments.models.intake import IntakeKind
from payments.models.program import SAT
from payments.selectors import imports as selector
from payments.selectors import programs
from payments.services import import_files
from payments.services import imports as service

CSV: Any = {(200, "text/csv"): OpenApiTypes.STR}
NOT_NOW: Any = {
    (409, "application/problem+json"): OpenApiResponse(
        {"$ref": "#/components/schemas/Problem"}, "It cannot be done now; the code says why."
    )
}


def render(request: Request, job: Any, code: int = status.HTTP_200_OK) -> Response:
    """Answer with an import, its errors by code, and to officers its first rows."""
    job.fault_tallies = selector.faults_by_code(job.pk)
    is_officer = programs.has_role(request.user, job.program_id, Role.OFFICER)
    job.preview = selector.preview(job) if is_officer else None
    return Response(serializers.ImportDetail(job).data, code)


class ImportList(Idempotent, ScopedList):
    """The imports of a program."""

    serializer_class = serializers.ImportOut
    filterset_class = filters.Imports
    parser_classes = [UploadParser]
    queryset = ImportJob.objects.none()

    def get_queryset(self) -> QuerySet[ImportJob]:
        """Return the imports of the program in the address."""
        return selector.jobs(self.request.user).filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="import_jobs_list", tags=["imports"], responses={200: serializers.ImportOut(many=True)}
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List imports, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="import_jobs_create",
        tags=["imports"],
        request={"multipart/form-data": serializers.NewImport},
        responses={202: serializers.ImportDetail, **NOT_NOW},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Bring a file; a worker checks it, and nothing of it counts until it is `ready` and an officer confirms it.

        `columns` is refused with `columns_refused`, whose `errors` name each field: `column_missing`, `column_unknown`,
        `column_repeated`, `column_shared` or `field_unknown`.
        """
        body = serializers.NewImport(data=request.data)
        body.is_valid(raise_exception=True)
        asked = dict(body.validated_data)
        ask = service.ask_list if asked.pop("kind") == IntakeKind.LINES else service.ask_people
        by: Any = request.user
        names = asked.pop("columns", None)
        job = ask(by=by, program_id=program_id, filename=asked["file"].name or "", names=names, **asked)
        return render(request, job, status.HTTP_202_ACCEPTED)


class ImportRead(Scoped):
    """One import."""

    @extend_schema(
        operation_id="import_jobs_read", tags=["imports"], responses={200: serializers.ImportDetail}
    )
    def get(self, request: Request, import_job_id: int) -> Response:
        """Return how far an import is, its errors by code, and the first rows as they would be stored."""
        by: Any = request.user
        return render(request, service.get(by=by, job_id=import_job_id))


class ImportConfirm(Idempotent, Scoped):
    """An officer lets it count."""

    @extend_schema(
        operation_id="import_jobs_confirm",
        tags=["imports"],
        request=None,
        responses={202: serializers.ImportDetail, **NOT_NOW},
    )
    def post(self, request: Request, import_job_id: int) -> Response:
        """Let a worker write what was checked, whole or not at all; a list's file by the officer who brought it."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        by: Any = request.user
        return render(request, service.confirm(by=by, job_id=import_job_id), status.HTTP_202_ACCEPTED)


class ImportCancel(Idempotent, Scoped):
    """An officer takes it back."""

    @extend_schema(
        operation_id="import_jobs_cancel",
        tags=["imports"],
        request=None,
        responses={200: serializers.ImportDetail, **NOT_NOW},
    )
    def post(self, request: Request, import_job_id: int) -> Response:
        """Take back an import that does not count yet; its file is deleted."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        by: Any = request.user
        return render(request, service.cancel(by=by, job_id=import_job_id))


class ImportErrors(Scoped):
    """The rows that were refused."""

    limit = "exports"

    @extend_schema(operation_id="import_jobs_errors_download", tags=["imports"], responses={**CSV, **NOT_NOW})
    def get(self, request: Request, import_job_id: int) -> StreamingHttpResponse:
        """Return the refused rows with their own columns, `code` and `message`, to officers of the program."""
        by: Any = request.user
        job, lines = service.errors(by=by, job_id=import_job_id)
        response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="import-{job.pk}-errors.csv"'
        return response


class PeopleTemplate(Scoped):
    """A file of people to fill in."""

    @extend_schema(operation_id="import_templates_people", tags=["imports"], responses=CSV)
    def get(self, request: Request) -> HttpResponse:
        """Return the header and an example row of a file of people."""
        return template(IntakeKind.PEOPLE)


class ListTemplate(Scoped):
    """A list to fill in."""

    problems = {422}

    @extend_schema(
        operation_id="import_templates_list",
        tags=["imports"],
        parameters=[serializers.TemplateQuery],
        responses=CSV,
    )
    def get(self, request: Request) -> HttpResponse:
        """Return the header and an example row of a list, of money where a currency is named."""
        query = serializers.TemplateQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        return template(IntakeKind.LINES, **query.validated_data)


def template(kind: str, currency: str = SAT) -> HttpResponse:
    """Answer with a file to fill in."""
    headers = {"Content-Disposition": f'attachment; filename="{kind}.csv"'}
    return HttpResponse(
        import_files.template(kind, currency), content_type="text/csv; charset=utf-8", headers=headers
    )
