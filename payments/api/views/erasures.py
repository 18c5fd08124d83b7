"""Erasures of what is known of people, between two people."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from payments.api import filters
from payments.api.serializers import consents as serializers
from payments.api.serializers.holds import Decision
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import Erasure
from payments.selectors import erasures as selector
from payments.services import erasures as service

ERASURE = {200: serializers.ErasureOut}


def _render(request: Request, erasure_id: int, code: int = status.HTTP_200_OK) -> Response:
    row = selector.erasures(request.user).get(pk=erasure_id)
    return Response(serializers.ErasureOut(row).data, code)


class EnrollmentErasures(Idempotent, Scoped):
    """What is known of a person."""

    @extend_schema(
        operation_id="enrollments_ask_erasure",
        tags=["people"],
        request=Decision,
        responses={201: serializers.ErasureOut},
    )
    def post(self, request: Request, enrollment_id: int) -> Response:
        """Ask that what is known of the person is destroyed; refused while a payment to them is open."""
        made = act(request, service.ask, Decision, enrollment_id=enrollment_id)
        return _render(request, made.pk, status.HTTP_201_CREATED)


class ErasureList(ScopedList):
    """The erasures of a program."""

    serializer_class = serializers.ErasureOut
    filterset_class = filters.Erasures
    queryset = Erasure.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return what was asked for in the program in the address."""
        return selector.erasures(self.request.user).filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="erasures_list", tags=["people"], responses={200: serializers.ErasureOut(many=True)}
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List erasures, newest first."""
        return self.page(request)


class ErasureRead(Scoped):
    """One erasure."""

    @extend_schema(operation_id="erasures_read", tags=["people"], responses=ERASURE)
    def get(self, request: Request, erasure_id: int) -> Response:
        """Return who asked, and what became of it."""
        return _render(request, erasure_id)


class _Decide(Idempotent, Scoped):
    """Reads the reason and calls the service."""

    def decide(self, request: Request, erasure_id: int, verb: Any) -> Response:
        """Make the one call."""
        body = Decision(data=request.data)
        body.is_valid(raise_exception=True)
        verb(by=request.user, erasure_id=erasure_id, **body.validated_data)
        return _render(request, erasure_id)


class Confirm(_Decide):
    """A second person agrees, and it is done."""

    @extend_schema(operation_id="erasures_confirm", tags=["people"], request=Decision, responses=ERASURE)
    def post(self, request: Request, erasure_id: int) -> Response:
        """Destroy it, in every program; this cannot be undone."""
        return self.decide(request, erasure_id, service.confirm)


class Refuse(_Decide):
    """A second person refuses."""

    @extend_schema(operation_id="erasures_refuse", tags=["people"], request=Decision, responses=ERASURE)
    def post(self, request: Request, erasure_id: int) -> Response:
        """Refuse, for a reason, what somebody else asked for."""
        return self.decide(request, erasure_id, service.refuse)


class Withdraw(_Decide):
    """Whoever asked takes it back."""

    @extend_schema(operation_id="erasures_withdraw", tags=["people"], request=Decision, responses=ERASURE)
    def post(self, request: Request, erasure_id: int) -> Response:
        """Take back what you asked for and nobody has decided yet."""
        return self.decide(request, erasure_id, service.withdraw)
