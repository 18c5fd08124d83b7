"""Grievances: take down what people say, take, link and answer it."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.pagination import OldestFirst
from govpay.api.serializers import Nothing
from payments.api import filters, versions
from payments.api.serializers import grievance as serializers
from payments.api.serializers.disbursement import HistoryOut
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import Grievance, StatusChange
from payments.selectors import disbursements as history_selector
from payments.selectors import grievances as selector
from payments.selectors import scope
from payments.services import grievances as service

ONE = {200: serializers.GrievanceOut}


def _render(request: Request, grievance_id: int) -> Response:
    row = selector.visible(request.user).get(pk=grievance_id)
    context = {"readable": selector.readable(request.user)}
    return Response(serializers.GrievanceOut(row, context=context).data)


versions.keep("grievance_id", lock=lambda pk: Grievance.objects.select_for_update().get(pk=pk), show=_render)


class GrievanceList(Idempotent, ScopedList):
    """The grievances of a program."""

    serializer_class = serializers.GrievanceOut
    filterset_class = filters.Grievances
    queryset = Grievance.objects.none()
    scope = staticmethod(scope.require_person)

    def get_queryset(self) -> QuerySet[Any]:
        """Return those of the program in the address."""
        return selector.visible(self.request.user).filter(program_id=self.kwargs["program_id"])

    def get_serializer_context(self) -> dict[str, Any]:
        """Say of which programs the user reads the words."""
        is_asked = getattr(self, "request", None) is not None
        readable = selector.readable(self.request.user) if is_asked else set()
        return super().get_serializer_context() | {"readable": readable}

    @extend_schema(
        operation_id="grievances_list",
        tags=["grievances"],
        responses={200: serializers.GrievanceOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List grievances, newest first; ``is_overdue`` finds those that should have been answered."""
        return self.page(request)

    @extend_schema(
        operation_id="grievances_create",
        tags=["grievances"],
        request=serializers.NewGrievance,
        responses={201: serializers.GrievanceLodged},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Take down what a person says; the answer has the secret with which the person follows it, this once."""
        made = act(request, service.lodge, serializers.NewGrievance, program_id=program_id)
        shown: dict[str, Any] = _render(request, made.grievance.pk).data
        return Response(shown | {"secret": made.secret}, status.HTTP_201_CREATED)


class GrievanceRead(Scoped):
    """One grievance."""

    scope = staticmethod(scope.require_person)

    @extend_schema(operation_id="grievances_read", tags=["grievances"], responses=ONE)
    def get(self, request: Request, grievance_id: int) -> Response:
        """Return a grievance, with what the chain says of its payment."""
        return _render(request, grievance_id)


class Take(Idempotent, Scoped):
    """Whose it is."""

    scope = staticmethod(scope.require_person)

    @extend_schema(operation_id="grievances_take", tags=["grievances"], request=Nothing, responses=ONE)
    def post(self, request: Request, grievance_id: int) -> Response:
        """Become its owner, who works on it."""
        act(request, service.take, Nothing, grievance_id=grievance_id)
        return _render(request, grievance_id)


class Link(Idempotent, Scoped):
    """What it is about."""

    scope = staticmethod(scope.require_person)

    @extend_schema(
        operation_id="grievances_link",
        tags=["grievances"],
        request=serializers.GrievanceLink,
        responses=ONE,
    )
    def post(self, request: Request, grievance_id: int) -> Response:
        """Say which person and payment of the program it is about."""
        act(request, service.link, serializers.GrievanceLink, grievance_id=grievance_id)
        return _render(request, grievance_id)


class Answer(Idempotent, Scoped):
    """What came of it."""

    scope = staticmethod(scope.require_person)

    @extend_schema(
        operation_id="grievances_answer",
        tags=["grievances"],
        request=serializers.GrievanceAnswer,
        responses=ONE,
    )
    def post(self, request: Request, grievance_id: int) -> Response:
        """Answer one that you own, unless you had a part in its payment's list."""
        act(request, service.answer, serializers.GrievanceAnswer, grievance_id=grievance_id)
        return _render(request, grievance_id)


class GrievanceHistory(ScopedList):
    """What became of a grievance, and through whom."""

    serializer_class = HistoryOut
    pagination_class = OldestFirst
    queryset = StatusChange.objects.none()
    scope = staticmethod(scope.require_person)

    def get_queryset(self) -> QuerySet[StatusChange]:
        """Return the changes of the grievance in the address."""
        return history_selector.history("grievance", self.kwargs["grievance_id"])

    @extend_schema(
        operation_id="grievances_history", tags=["grievances"], responses={200: HistoryOut(many=True)}
    )
    def get(self, request: Request, grievance_id: int) -> Response:
        """List changes of status, oldest first; without an actor it was the person, or time."""
        return self.page(request)
