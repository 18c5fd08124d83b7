"""People of a program: enroll one or a file of them."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.parsers import UploadParser
from payments.api import filters, versions
from payments.api.serializers import people as serializers
from payments.api.views import intakes
from payments.api.views.scoped import Scoped, ScopedList
from payments.models import Enrollment
from payments.selectors import people as selector
from payments.selectors import scope
from payments.services import people as service
from payments.services import registry


class EnrollmentList(Idempotent, ScopedList):
    """The people of a program; names and phones only for officers and auditors, and masked for the help desk."""

    serializer_class = serializers.EnrollmentOut
    filterset_class = filters.Enrollments
    queryset = Enrollment.objects.none()
    scope = staticmethod(scope.require_person)

    def get_queryset(self) -> QuerySet[Any]:
        """Return the people of the program in the address."""
        return selector.enrollments(self.request.user, self.kwargs["program_id"])

    @extend_schema(
        operation_id="enrollments_list",
        tags=["people"],
        responses={200: serializers.EnrollmentOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List people, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="enrollments_create",
        tags=["people"],
        request=serializers.NewEnrollment,
        responses={201: serializers.EnrollmentOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Enroll one person; every rule that is broken is named."""
        body = serializers.NewEnrollment(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        made = service.enroll(by=by, program_id=program_id, **body.validated_data)
        row = selector.enrollment(by, made.pk)
        return Response(serializers.EnrollmentOut(row).data, status.HTTP_201_CREATED)


class EnrollmentBulk(Idempotent, Scoped):
    """Many people at once."""

    scope = staticmethod(scope.require_person)

    @extend_schema(
        operation_id="enrollments_create_many",
        tags=["people"],
        request=serializers.NewEnrollments,
        responses={201: serializers.EnrollmentsMade},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Enroll up to a thousand people, all or nobody; every rule that is broken is named with its row."""
        body = serializers.NewEnrollments(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        made = service.enroll_many(by=by, program_id=program_id, people=body.validated_data["people"])
        rows = [{"id": pk, "reference": reference} for pk, reference in made]
        shown = serializers.EnrollmentsMade({"count": len(rows), "enrollments": rows})
        return Response(shown.data, status.HTTP_201_CREATED)


def _render(request: Request, enrollment_id: int) -> Response:
    return Response(serializers.EnrollmentOut(selector.enrollment(request.user, enrollment_id)).data)


versions.keep("enrollment_id", lock=lambda _: registry.lock(), show=_render)


class EnrollmentDetail(Scoped):
    """One person of a program."""

    scope = staticmethod(scope.require_person)

    @extend_schema(
        operation_id="enrollments_read", tags=["people"], responses={200: serializers.EnrollmentOut}
    )
    def get(self, request: Request, enrollment_id: int) -> Response:
        """Return a person and where they are paid."""
        return _render(request, enrollment_id)


class PeopleIntake(Idempotent, Scoped):
    """A file of people."""

    parser_classes = [UploadParser]

    @extend_schema(
        operation_id="intakes_people_create",
        tags=["people"],
        request={"multipart/form-data": serializers.PeopleFile},
        responses={201: serializers.IntakeOut, (422, "application/problem+json"): serializers.IntakeProblem},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Enroll the people of a CSV file: all, or with accept_partial the good rows."""
        body = serializers.PeopleFile(data=request.data)
        body.is_valid(raise_exception=True)
        file = body.validated_data["file"]
        by: Any = request.user
        intake = service.import_csv(
            by=by,
            program_id=program_id,
            file=file,
            filename=file.name,
            accept_partial=body.validated_data["accept_partial"],
        )
        return intakes.refused_or(intake, serializers.IntakeOut(intake).data)
