"""What a program achieves, and what it was before."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from payments.api.serializers import outcome as serializers
from payments.api.views.scoped import Scoped, act
from payments.models import Program
from payments.selectors import outcomes as selector
from payments.services import outcomes as service


class Outcomes(Scoped):
    """The outcome figures of a program."""

    @extend_schema(
        operation_id="programs_outcomes",
        tags=["programs"],
        parameters=[serializers.OutcomesQuery],
        responses={200: serializers.OutcomesOut},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """Return each figure with its numerator and denominator, over lists approved and files brought in a span of time."""
        query = serializers.OutcomesQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        before = query.validated_data.get("before") or timezone.now()
        span = {"since": query.validated_data.get("since") or before - selector.YEAR, "before": before}
        figures = selector.of_program(Program.objects.get(pk=program_id), **span)
        return Response(serializers.OutcomesOut({"figures": figures, **span}).data)


class Baselines(Idempotent, Scoped):
    """Figures from before the program."""

    @extend_schema(
        operation_id="programs_baselines_create",
        tags=["programs"],
        request=serializers.NewBaseline,
        responses={201: serializers.BaselineOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Enter a figure with its source; the newest of each figure stands beside the outcome."""
        made = act(request, service.enter_baseline, serializers.NewBaseline, program_id=program_id)
        return Response(serializers.BaselineOut(made).data, status.HTTP_201_CREATED)
