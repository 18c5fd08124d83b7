"""The travel rule: who pays, which payments it counted, and the payload of each for whom it is for."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.serializers import Nothing
from payments.api.serializers import travel as serializers
from payments.api.serializers.proposal import ProposalOut
from payments.api.views.prices import answer_proposal
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import TravelRecord
from payments.selectors import scope
from payments.selectors import travel as selector
from payments.services import proposals, travel_records

TAGS = ["travel rule"]


def download(record: TravelRecord, payload: bytes) -> HttpResponse:
    """Return a payload as a download that no cache keeps."""
    return HttpResponse(
        payload,
        content_type="application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="{record.filename}"',
            "Cache-Control": "no-store",
        },
    )


class ProposeOriginator(Idempotent, Scoped):
    """Asks for who pays."""

    scope = staticmethod(scope.require_authority)

    @extend_schema(
        operation_id="programs_propose_originator",
        tags=["proposals"],
        request=serializers.OriginatorProposal,
        responses={201: ProposalOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Ask for who pays in the program, as the travel rule wants it known; another security administrator confirms it."""
        made = act(
            request, proposals.propose_originator, serializers.OriginatorProposal, program_id=program_id
        )
        return answer_proposal(made, request.user)


class TravelRecordList(ScopedList):
    """What the rule counted of a list."""

    serializer_class = serializers.TravelRecordOut
    queryset = TravelRecord.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return those of the list in the address."""
        return selector.records(self.request.user).filter(disbursement_id=self.kwargs["disbursement_id"])

    @extend_schema(
        operation_id="travel_records_list",
        tags=TAGS,
        responses={200: serializers.TravelRecordOut(many=True)},
    )
    def get(self, request: Request, disbursement_id: int) -> Response:
        """List the payments of a released list that the travel rule counted, newest first, without who is paid."""
        return self.page(request)


class TravelRecordFetch(Scoped):
    """Who pays whom."""

    @extend_schema(
        operation_id="payments_fetch_travel_record",
        tags=TAGS,
        request=None,
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def post(self, request: Request, payment_id: int) -> HttpResponse:
        """Take the payload of a payment (IVMS101) as its auditor or releaser; each reading is an audit event."""
        with transaction.atomic():
            self.require_version(request, payment_id=payment_id)
            record, payload = act(request, travel_records.fetch, Nothing, payment_id=payment_id)
        return download(record, payload)
