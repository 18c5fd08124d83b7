"""Budgets: open and close periods, propose and decide warrants, and see what lists hold."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from payments.api import filters
from payments.api.serializers import budget as serializers
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import BudgetPeriod, Commitment, Warrant
from payments.selectors import budgets as selector
from payments.services import budgets as service

PERIOD = {200: serializers.BudgetPeriodOut}
WARRANT = {200: serializers.WarrantOut}


def _render(request: Request, warrant_id: int, code: int = status.HTTP_200_OK) -> Response:
    row = selector.warrants(request.user).get(pk=warrant_id)
    return Response(serializers.WarrantOut(row).data, code)


class PeriodList(Idempotent, ScopedList):
    """The budget periods of a program."""

    serializer_class = serializers.BudgetPeriodOut
    queryset = BudgetPeriod.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return those of the program in the address."""
        return selector.periods(self.request.user).filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="budget_periods_list",
        tags=["budgets"],
        responses={200: serializers.BudgetPeriodOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List budget periods with their totals, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="budget_periods_open",
        tags=["budgets"],
        request=serializers.NewBudgetPeriod,
        responses={201: serializers.BudgetPeriodOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Open a period with nothing allotted; from its first one on a program is held to budgets."""
        made = act(request, service.open_period, serializers.NewBudgetPeriod, program_id=program_id)
        return Response(serializers.BudgetPeriodOut(made).data, status.HTTP_201_CREATED)


class PeriodRead(Scoped):
    """One period."""

    @extend_schema(operation_id="budget_periods_read", tags=["budgets"], responses=PERIOD)
    def get(self, request: Request, budget_period_id: int) -> Response:
        """Return a period: allotted, released as cash, committed, spent, and what is left of each."""
        row = selector.periods(request.user).get(pk=budget_period_id)
        return Response(serializers.BudgetPeriodOut(row).data)


class PeriodClose(Idempotent, Scoped):
    """The end of a period."""

    @extend_schema(
        operation_id="budget_periods_close",
        tags=["budgets"],
        request=serializers.BudgetReason,
        responses=PERIOD,
    )
    def post(self, request: Request, budget_period_id: int) -> Response:
        """Close a period for good, for a reason: nothing more is allotted, committed or spent in it."""
        closed = act(
            request, service.close_period, serializers.BudgetReason, budget_period_id=budget_period_id
        )
        return Response(serializers.BudgetPeriodOut(closed).data)


class PeriodCommitments(ScopedList):
    """What lists hold of a period."""

    serializer_class = serializers.CommitmentOut
    queryset = Commitment.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return those of the period in the address."""
        return selector.commitments(self.kwargs["budget_period_id"])

    @extend_schema(
        operation_id="budget_periods_commitments",
        tags=["budgets"],
        responses={200: serializers.CommitmentOut(many=True)},
    )
    def get(self, request: Request, budget_period_id: int) -> Response:
        """List what each list has committed and spent, newest first."""
        return self.page(request)


class PeriodWarrants(Idempotent, ScopedList):
    """The steps of a period's allotment and cash."""

    serializer_class = serializers.WarrantOut
    filterset_class = filters.Warrants
    queryset = Warrant.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return those of the period in the address."""
        return selector.warrants(self.request.user).filter(period_id=self.kwargs["budget_period_id"])

    @extend_schema(
        operation_id="warrants_list", tags=["budgets"], responses={200: serializers.WarrantOut(many=True)}
    )
    def get(self, request: Request, budget_period_id: int) -> Response:
        """List warrants, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="warrants_create",
        tags=["budgets"],
        request=serializers.NewWarrant,
        responses={201: serializers.WarrantOut},
    )
    def post(self, request: Request, budget_period_id: int) -> Response:
        """Propose to add to the allotment or to the cash, or to withdraw; a treasurer who is somebody else confirms it."""
        made = act(request, service.propose, serializers.NewWarrant, budget_period_id=budget_period_id)
        return _render(request, made.pk, status.HTTP_201_CREATED)


class WarrantRead(Scoped):
    """One warrant."""

    @extend_schema(operation_id="warrants_read", tags=["budgets"], responses=WARRANT)
    def get(self, request: Request, warrant_id: int) -> Response:
        """Return a warrant."""
        return _render(request, warrant_id)


class WarrantConfirm(Idempotent, Scoped):
    """A treasurer agrees."""

    @extend_schema(
        operation_id="warrants_confirm",
        tags=["budgets"],
        request=serializers.WarrantConsent,
        responses=WARRANT,
    )
    def post(self, request: Request, warrant_id: int) -> Response:
        """Agree to what somebody else proposed: the total moves, unless less would be left than is committed or spent."""
        act(request, service.confirm, serializers.WarrantConsent, warrant_id=warrant_id)
        return _render(request, warrant_id)


class WarrantReject(Idempotent, Scoped):
    """A treasurer refuses."""

    @extend_schema(
        operation_id="warrants_reject", tags=["budgets"], request=serializers.BudgetReason, responses=WARRANT
    )
    def post(self, request: Request, warrant_id: int) -> Response:
        """Refuse what somebody else proposed, for a reason."""
        act(request, service.reject, serializers.BudgetReason, warrant_id=warrant_id)
        return _render(request, warrant_id)


class WarrantWithdraw(Idempotent, Scoped):
    """Whoever proposed it takes it back."""

    @extend_schema(
        operation_id="warrants_withdraw",
        tags=["budgets"],
        request=serializers.BudgetReason,
        responses=WARRANT,
    )
    def post(self, request: Request, warrant_id: int) -> Response:
        """Take back, for a reason, what you proposed and nobody has decided yet."""
        act(request, service.withdraw, serializers.BudgetReason, warrant_id=warrant_id)
        return _render(request, warrant_id)
