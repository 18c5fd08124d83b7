"""Claims: list entitlements, send links to those who wait, and make the list of what they have claimed."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.serializers import Nothing
from payments.api import filters
from payments.api.serializers import claim as serializers
from payments.api.serializers.disbursement import DisbursementDetail
from payments.api.views.disbursements import render
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import Entitlement
from payments.selectors import claims as selector
from payments.selectors import scope
from payments.services import claim_links, entitlements


class EntitlementList(ScopedList):
    """What people without an address are entitled to."""

    serializer_class = serializers.EntitlementOut
    filterset_class = filters.Entitlements
    queryset = Entitlement.objects.none()
    scope = staticmethod(scope.require_person)

    def get_queryset(self) -> QuerySet[Any]:
        """Return those of the program in the address."""
        rows = selector.entitlements(self.request.user)
        return rows.filter(payment__disbursement__program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="entitlements_list",
        tags=["claims"],
        responses={200: serializers.EntitlementOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List entitlements, newest first."""
        return self.page(request)


class ClaimLinks(Idempotent, Scoped):
    """Links to those who wait."""

    @extend_schema(
        operation_id="disbursements_send_claim_links",
        tags=["claims"],
        request=serializers.SendLinks,
        responses={202: serializers.LinksSent},
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Send a one-time link to everybody on a list who waits and has a telephone; earlier links of theirs end."""
        count = act(request, claim_links.send, serializers.SendLinks, disbursement_id=disbursement_id)
        return Response(serializers.LinksSent({"count": count}).data, status.HTTP_202_ACCEPTED)


class ClaimedList(Idempotent, Scoped):
    """A list of what was claimed."""

    @extend_schema(
        operation_id="disbursements_list_claimed",
        tags=["claims"],
        request=None,
        responses={201: DisbursementDetail},
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Make a draft of what people on a list have claimed by now; it goes through three people like any list."""
        made = act(request, entitlements.list_claimed, Nothing, disbursement_id=disbursement_id)
        return render(request, made.pk, status.HTTP_201_CREATED)
