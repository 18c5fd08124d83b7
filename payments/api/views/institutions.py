"""Institutions that hold bitcoin: what they hold and risk, the room that the law leaves, and proposals of them."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from payments.api import filters
from payments.api.serializers import inflow as inflow_serializers
from payments.api.serializers import institution as serializers
from payments.api.serializers.proposal import ProposalOut
from payments.api.views.prices import OfPrices, PricesList, answer_proposal, one_of
from payments.api.views.scoped import act
from payments.models import Institution
from payments.reserve import splitting
from payments.selectors import reserve as reserve_selector
from payments.selectors import treasury as selector
from payments.services import proposals

TAGS = ["reserve"]


class InstitutionList(PricesList):
    """Every institution."""

    serializer_class = serializers.InstitutionOut
    filterset_class = filters.Institutions
    queryset = Institution.objects.none()

    def rows(self) -> QuerySet[Institution]:
        """Return every institution."""
        return selector.institutions()

    @extend_schema(
        operation_id="institutions_list", tags=TAGS, responses={200: serializers.InstitutionOut(many=True)}
    )
    def get(self, request: Request) -> Response:
        """List institutions, newest first."""
        return self.page(request)


class InstitutionRead(OfPrices):
    """One institution."""

    @extend_schema(operation_id="institutions_read", tags=TAGS, responses={200: serializers.ExposureOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return an institution with its position, exposure, and what the law leaves to be added."""
        row = one_of(selector.institutions(), pk)
        return Response(serializers.ExposureOut(selector.exposure_of(row)).data)


class InstitutionPropose(Idempotent, OfPrices):
    """Asks for an institution."""

    @extend_schema(
        operation_id="institutions_propose",
        tags=["proposals"],
        request=serializers.InstitutionProposal,
        responses={201: ProposalOut},
    )
    def post(self, request: Request) -> Response:
        """Ask for an institution that holds bitcoin, or changes of one; another security administrator confirms it."""
        made = act(request, proposals.propose_institution, serializers.InstitutionProposal)
        return answer_proposal(made, request.user)


class FloatsRead(OfPrices):
    """Payment floats."""

    @extend_schema(operation_id="reserve_floats_read", tags=TAGS, responses={200: serializers.FloatsOut})
    def get(self, request: Request) -> Response:
        """Return what the wallets of your programs hold, and the largest of their last cycles."""
        reserve_selector.require(user=request.user)
        return Response(serializers.FloatsOut({"floats": selector.floats(request.user)}).data)


class HoldingSplit(OfPrices):
    """How an amount is spread."""

    @extend_schema(
        operation_id="holdings_split",
        tags=TAGS,
        parameters=[inflow_serializers.SplitAsked],
        responses={
            200: inflow_serializers.SplitOut,
            (409, "application/problem+json"): OpenApiResponse(
                {"$ref": "#/components/schemas/Problem"}, "It has too few addresses that were never used."
            ),
            (422, "application/problem+json"): OpenApiResponse(
                {"$ref": "#/components/schemas/Problem"}, "It is not scanned, or the amount is dust."
            ),
        },
    )
    def get(self, request: Request, pk: int) -> Response:
        """Propose how an amount is spread over addresses of a holding that were never used, each under its cap."""
        row = one_of(reserve_selector.holdings(), pk)
        asked: Any = inflow_serializers.SplitAsked(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        parts = splitting.split(row, asked.validated_data["amount_sat"])
        return Response(inflow_serializers.SplitOut({"parts": parts}).data)
