"""What a program's payments will take and cost, and what paying costs elsewhere."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from payments.api.serializers import projection as serializers
from payments.api.views.scoped import Scoped, act
from payments.models import Program
from payments.selectors import projections as selector
from payments.services import projections as service


class Projection(Scoped):
    """How many blocks payments of the program take, and what they cost."""

    @extend_schema(
        operation_id="programs_projection",
        tags=["programs"],
        parameters=[serializers.ProjectionQuery],
        responses={
            200: serializers.ProjectionOut,
            (422, "application/problem+json"): OpenApiResponse(
                {"$ref": "#/components/schemas/Problem"},
                "Nobody is paid, or an amount, currency or price lacks what it needs.",
            ),
        },
    )
    def get(self, request: Request, program_id: int) -> Response:
        """Return blocks, hours, size and fees at 1, 5, 20 and 50 sat/vB for so many people, beside the baselines.

        Without numbers it is for everybody who is enrolled.
        """
        query = serializers.ProjectionQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        found = selector.project(program=Program.objects.get(pk=program_id), **query.validated_data)
        return Response(serializers.ProjectionOut(found).data)


class Baselines(Idempotent, Scoped):
    """What paying costs elsewhere."""

    @extend_schema(
        operation_id="programs_cost_baselines_create",
        tags=["programs"],
        request=serializers.NewCostBaseline,
        responses={201: serializers.CostBaselineOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Enter a cost with its source; the newest of each name stands beside projections."""
        made = act(request, service.enter_baseline, serializers.NewCostBaseline, program_id=program_id)
        return Response(serializers.CostBaselineOut(made).data, status.HTTP_201_CREATED)
