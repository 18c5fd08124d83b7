"""What came to the reserve: outputs, classings by two people, and plans to buy."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from ledger.models import Inflow
from payments.api import filters
from payments.api.serializers import inflow as serializers
from payments.api.views.prices import OfPrices, PricesList, one_of
from payments.api.views.scoped import act
from payments.models import InflowClassing, PurchasePlan
from payments.selectors import treasury as selector
from payments.services import inflows, purchase_plans

TAGS = ["reserve"]


def _classing(pk: int, code: int = status.HTTP_200_OK) -> Response:
    return Response(serializers.ClassingOut(selector.classings().get(pk=pk)).data, code)


def _plan(pk: int, code: int = status.HTTP_200_OK) -> Response:
    return Response(serializers.PlanOut(selector.plans().get(pk=pk)).data, code)


class InflowList(PricesList):
    """Every output that came."""

    serializer_class = serializers.InflowOut
    filterset_class = filters.Inflows
    queryset = Inflow.objects.none()

    def rows(self) -> QuerySet[Any]:
        """Return every output."""
        return selector.inflows()

    @extend_schema(operation_id="inflows_list", tags=TAGS, responses={200: serializers.InflowOut(many=True)})
    def get(self, request: Request) -> Response:
        """List outputs that scans found, newest first, with what they came for."""
        return self.page(request)


class ClassingList(Idempotent, PricesList):
    """Classings, and a new one."""

    serializer_class = serializers.ClassingOut
    filterset_class = filters.Classings
    queryset = InflowClassing.objects.none()

    def rows(self) -> QuerySet[Any]:
        """Return every classing."""
        return selector.classings()

    @extend_schema(
        operation_id="classings_list", tags=TAGS, responses={200: serializers.ClassingOut(many=True)}
    )
    def get(self, request: Request) -> Response:
        """List what people said that outputs came for, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="classings_give",
        tags=TAGS,
        request=serializers.ClassingGiven,
        responses={201: serializers.ClassingOut},
    )
    def post(self, request: Request) -> Response:
        """Say what outputs came for; it counts once another treasurer has confirmed it."""
        made = act(request, inflows.give, serializers.ClassingGiven)
        return _classing(made.pk, status.HTTP_201_CREATED)


class ClassingRead(OfPrices):
    """One classing."""

    @extend_schema(operation_id="classings_read", tags=TAGS, responses={200: serializers.ClassingOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return a classing."""
        return Response(serializers.ClassingOut(one_of(selector.classings(), pk)).data)


class ClassingConfirm(Idempotent, OfPrices):
    """A second person agrees."""

    @extend_schema(
        operation_id="classings_confirm",
        tags=TAGS,
        request=serializers.AmountSeen,
        responses={200: serializers.ClassingOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Confirm, as another treasurer, what outputs came for, by naming their sum; lots are recorded with it."""
        act(request, inflows.confirm, serializers.AmountSeen, classing_id=pk)
        return _classing(pk)


class ClassingWithdraw(Idempotent, OfPrices):
    """It is taken back."""

    @extend_schema(
        operation_id="classings_withdraw",
        tags=TAGS,
        request=serializers.TreasurerReason,
        responses={200: serializers.ClassingOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Take a classing back that nobody has confirmed; one treasurer is enough."""
        act(request, inflows.withdraw, serializers.TreasurerReason, classing_id=pk)
        return _classing(pk)


class PlanList(Idempotent, PricesList):
    """Plans, and a new one."""

    serializer_class = serializers.PlanOut
    filterset_class = filters.Plans
    queryset = PurchasePlan.objects.none()

    def rows(self) -> QuerySet[Any]:
        """Return every plan."""
        return selector.plans()

    @extend_schema(
        operation_id="purchase_plans_list", tags=TAGS, responses={200: serializers.PlanOut(many=True)}
    )
    def get(self, request: Request) -> Response:
        """List plans to buy, newest first, with what was bought under each."""
        return self.page(request)

    @extend_schema(
        operation_id="purchase_plans_propose",
        tags=TAGS,
        request=serializers.PlanProposed,
        responses={201: serializers.PlanOut},
    )
    def post(self, request: Request) -> Response:
        """Ask that an institution may buy; another treasurer approves it, and the law's ceiling is asked both times."""
        made = act(request, purchase_plans.propose, serializers.PlanProposed)
        return _plan(made.pk, status.HTTP_201_CREATED)


class PlanRead(OfPrices):
    """One plan."""

    @extend_schema(operation_id="purchase_plans_read", tags=TAGS, responses={200: serializers.PlanOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return a plan."""
        return Response(serializers.PlanOut(one_of(selector.plans(), pk)).data)


class PlanApprove(Idempotent, OfPrices):
    """A second person agrees."""

    @extend_schema(
        operation_id="purchase_plans_approve",
        tags=TAGS,
        request=serializers.AmountSeen,
        responses={200: serializers.PlanOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Approve a plan, as another treasurer, by naming its amount."""
        act(request, purchase_plans.approve, serializers.AmountSeen, plan_id=pk)
        return _plan(pk)


class PlanEnd(Idempotent, OfPrices):
    """Nothing more is bought."""

    @extend_schema(
        operation_id="purchase_plans_end",
        tags=TAGS,
        request=serializers.TreasurerReason,
        responses={200: serializers.PlanOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """End a plan, approved or not; one treasurer is enough."""
        act(request, purchase_plans.end, serializers.TreasurerReason, plan_id=pk)
        return _plan(pk)
