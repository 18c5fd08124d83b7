"""Why payments wait; and changes of address, which one person proposes and another decides."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from payments.api import filters
from payments.api.serializers import holds as serializers
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import DestinationChange, Hold
from payments.selectors import holds as selector
from payments.services import destinations as service

CHANGE = {200: serializers.DestinationChangeOut}


def _render(request: Request, change_id: int, code: int = status.HTTP_200_OK) -> Response:
    row = selector.changes(request.user).get(pk=change_id)
    return Response(serializers.DestinationChangeOut(row, context={"request": request}).data, code)


class PaymentHolds(ScopedList):
    """Why a payment waits, or waited."""

    serializer_class = serializers.HoldOut
    queryset = Hold.objects.none()

    def get_queryset(self) -> QuerySet[Hold]:
        """Return the holds on the payment in the address."""
        return selector.holds(self.request.user).filter(payment_id=self.kwargs["payment_id"])

    @extend_schema(
        operation_id="payments_holds", tags=["payments"], responses={200: serializers.HoldOut(many=True)}
    )
    def get(self, request: Request, payment_id: int) -> Response:
        """List holds, newest first; the payment goes on when the last one has ended."""
        return self.page(request)


class DisbursementHolds(ScopedList):
    """Why lines of a list wait, or waited."""

    serializer_class = serializers.HoldOut
    filterset_class = filters.Holds
    queryset = Hold.objects.none()

    def get_queryset(self) -> QuerySet[Hold]:
        """Return the holds on the lines of the list in the address."""
        rows = selector.holds(self.request.user)
        return rows.filter(payment__disbursement_id=self.kwargs["disbursement_id"])

    @extend_schema(
        operation_id="disbursements_holds", tags=["lists"], responses={200: serializers.HoldOut(many=True)}
    )
    def get(self, request: Request, disbursement_id: int) -> Response:
        """List holds, newest first."""
        return self.page(request)


class EnrollmentDestinationChanges(Idempotent, Scoped):
    """Where a person is to be paid."""

    @extend_schema(
        operation_id="enrollments_propose_destination",
        tags=["people"],
        request=serializers.NewDestination,
        responses={201: serializers.DestinationChangeOut},
    )
    def post(self, request: Request, enrollment_id: int) -> Response:
        """Propose another address; a second person confirms it, and it is paid once it has cooled."""
        made = act(request, service.propose, serializers.NewDestination, enrollment_id=enrollment_id)
        return _render(request, made.pk, status.HTTP_201_CREATED)


class DestinationChangeList(ScopedList):
    """The changes of address of a program."""

    serializer_class = serializers.DestinationChangeOut
    filterset_class = filters.DestinationChanges
    queryset = DestinationChange.objects.none()

    def get_queryset(self) -> QuerySet[DestinationChange]:
        """Return what was proposed in the program in the address."""
        return selector.changes(self.request.user).filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="destination_changes_list",
        tags=["people"],
        responses={200: serializers.DestinationChangeOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List changes of address, newest first."""
        return self.page(request)


class DestinationChangeRead(Scoped):
    """One change of address."""

    @extend_schema(operation_id="destination_changes_read", tags=["people"], responses=CHANGE)
    def get(self, request: Request, change_id: int) -> Response:
        """Return who proposed what, and what became of it."""
        return _render(request, change_id)


class _Decide(Idempotent, Scoped):
    """Reads the reason and calls the service."""

    def decide(self, request: Request, change_id: int, verb: Any) -> Response:
        """Make the one call."""
        body = serializers.Decision(data=request.data)
        body.is_valid(raise_exception=True)
        verb(by=request.user, change_id=change_id, **body.validated_data)
        return _render(request, change_id)


class Confirm(_Decide):
    """A second person agrees."""

    @extend_schema(
        operation_id="destination_changes_confirm",
        tags=["people"],
        request=serializers.Decision,
        responses=CHANGE,
    )
    def post(self, request: Request, change_id: int) -> Response:
        """Pay the person there from the next list on, once the cooling period is over; not by who proposed it."""
        return self.decide(request, change_id, service.confirm)


class Refuse(_Decide):
    """A second person refuses."""

    @extend_schema(
        operation_id="destination_changes_refuse",
        tags=["people"],
        request=serializers.Decision,
        responses=CHANGE,
    )
    def post(self, request: Request, change_id: int) -> Response:
        """Refuse, for a reason, what somebody else proposed."""
        return self.decide(request, change_id, service.refuse)


class Withdraw(_Decide):
    """Whoever proposed it takes it back."""

    @extend_schema(
        operation_id="destination_changes_withdraw",
        tags=["people"],
        request=serializers.Decision,
        responses=CHANGE,
    )
    def post(self, request: Request, change_id: int) -> Response:
        """Take back what you proposed and nobody has decided yet."""
        return self.decide(request, change_id, service.withdraw)
