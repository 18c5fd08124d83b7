"""Exclusion lists of programs, whom they exclude, and appeals against it."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.parsers import UploadParser
from payments.api import filters
from payments.api.serializers import exclusions as serializers
from payments.api.serializers.holds import Decision
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import Appeal, Exclusion, ExclusionList
from payments.selectors import exclusions as selector
from payments.services import appeals, exclusions

APPEAL = {200: serializers.AppealOut}


def _render(request: Request, appeal_id: int, code: int = status.HTTP_200_OK) -> Response:
    row = selector.appeals(request.user).get(pk=appeal_id)
    return Response(serializers.AppealOut(row, context={"request": request}).data, code)


class ExclusionLists(Idempotent, ScopedList):
    """The lists that hold in a program."""

    serializer_class = serializers.ExclusionListOut
    queryset = ExclusionList.objects.none()

    def get_queryset(self) -> QuerySet[ExclusionList]:
        """Return the program's own lists, and those of the installation."""
        return selector.lists(self.kwargs["program_id"])

    @extend_schema(
        operation_id="exclusion_lists_list",
        tags=["exclusions"],
        responses={200: serializers.ExclusionListOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List exclusion lists, newest first; who is on them is not shown."""
        return self.page(request)

    @extend_schema(
        operation_id="exclusion_lists_create",
        tags=["exclusions"],
        request=serializers.NewExclusionList,
        responses={201: serializers.ExclusionListOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Make an empty list of the program."""
        made = act(request, exclusions.create, serializers.NewExclusionList, program_id=program_id)
        return Response(serializers.ExclusionListOut(made).data, status.HTTP_201_CREATED)


class ExclusionEntries(Idempotent, Scoped):
    """Who is on a list."""

    parser_classes = [UploadParser]

    @extend_schema(
        operation_id="exclusion_lists_load",
        tags=["exclusions"],
        request={"multipart/form-data": serializers.ExclusionFile},
        responses={201: serializers.LoadedOut},
    )
    def post(self, request: Request, exclusion_list_id: int) -> Response:
        """Put the people of a CSV file of national ids on the list: all, or nobody; the ids are not kept."""
        body = serializers.ExclusionFile(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        loaded = exclusions.load(by=by, exclusion_list_id=exclusion_list_id, file=body.validated_data["file"])
        return Response(loaded._asdict(), status.HTTP_201_CREATED)


class ExclusionListEnd(Idempotent, Scoped):
    """Ends a list."""

    @extend_schema(
        operation_id="exclusion_lists_end",
        tags=["exclusions"],
        request=Decision,
        responses={200: serializers.ExclusionListOut},
    )
    def post(self, request: Request, exclusion_list_id: int) -> Response:
        """End a list, for a reason: it holds nobody any more."""
        found = act(request, exclusions.end, Decision, exclusion_list_id=exclusion_list_id)
        return Response(serializers.ExclusionListOut(found).data)


class Exclusions(ScopedList):
    """Who of a program is excluded."""

    serializer_class = serializers.ExclusionOut
    queryset = Exclusion.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return the entries that exclude people of the program in the address."""
        return selector.excluded(self.kwargs["program_id"])

    @extend_schema(
        operation_id="exclusions_list",
        tags=["exclusions"],
        responses={200: serializers.ExclusionOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List who is excluded today, by reference."""
        return self.page(request)


class EnrollmentAppeals(Idempotent, Scoped):
    """What a person says against an exclusion."""

    @extend_schema(
        operation_id="enrollments_appeal",
        tags=["exclusions"],
        request=serializers.NewAppeal,
        responses={201: serializers.AppealOut},
    )
    def post(self, request: Request, enrollment_id: int) -> Response:
        """Record an appeal; somebody decides who neither put the entry nor recorded the appeal."""
        made = act(request, appeals.lodge, serializers.NewAppeal, enrollment_id=enrollment_id)
        return _render(request, made.pk, status.HTTP_201_CREATED)


class AppealList(ScopedList):
    """The appeals of a program."""

    serializer_class = serializers.AppealOut
    filterset_class = filters.Appeals
    queryset = Appeal.objects.none()

    def get_queryset(self) -> QuerySet[Appeal]:
        """Return the appeals lodged in the program in the address."""
        return selector.appeals(self.request.user).filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="appeals_list",
        tags=["exclusions"],
        responses={200: serializers.AppealOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List appeals, newest first."""
        return self.page(request)


class AppealRead(Scoped):
    """One appeal."""

    @extend_schema(operation_id="appeals_read", tags=["exclusions"], responses=APPEAL)
    def get(self, request: Request, appeal_id: int) -> Response:
        """Return what was said, until when it is to be decided, and what was decided."""
        return _render(request, appeal_id)


class Uphold(Idempotent, Scoped):
    """Decides that an exclusion stands."""

    @extend_schema(operation_id="appeals_uphold", tags=["exclusions"], request=Decision, responses=APPEAL)
    def post(self, request: Request, appeal_id: int) -> Response:
        """Decide, for a reason, that the exclusion stands."""
        act(request, appeals.uphold, Decision, appeal_id=appeal_id)
        return _render(request, appeal_id)


class Lift(Idempotent, Scoped):
    """Lifts an exclusion."""

    @extend_schema(operation_id="appeals_lift", tags=["exclusions"], request=Decision, responses=APPEAL)
    def post(self, request: Request, appeal_id: int) -> Response:
        """Decide, for a reason, that the person is to be paid: what the entry has held goes on."""
        act(request, appeals.lift, Decision, appeal_id=appeal_id)
        return _render(request, appeal_id)
