"""What the public sector holds: holdings and their balances, scans, and proposals of holdings."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from ledger.models import ReserveBalance, ReserveScan
from payments.api import filters
from payments.api.serializers import reserve as serializers
from payments.api.serializers.proposal import ProposalOut
from payments.api.views.prices import OfPrices, PricesList, answer_proposal, one_of
from payments.models import Holding
from payments.selectors import reserve as selector
from payments.services import holdings, proposals

TAGS = ["reserve"]
OF_ADDRESSES = ("kind", "descriptor", "first_index", "last_index", "addresses")


class ReserveRead(OfPrices):
    """All that is held."""

    @extend_schema(operation_id="reserve_read", tags=TAGS, responses={200: serializers.ReserveOut})
    def get(self, request: Request) -> Response:
        """Return what each holding had at the newest scan, and where scanning stands."""
        selector.require(user=request.user)
        return Response(serializers.ReserveOut(selector.standing()).data)


class HoldingList(PricesList):
    """Every holding."""

    serializer_class = serializers.HoldingOut
    filterset_class = filters.Holdings
    queryset = Holding.objects.none()

    def rows(self) -> QuerySet[Holding]:
        """Return every holding."""
        return selector.holdings()

    @extend_schema(
        operation_id="holdings_list", tags=TAGS, responses={200: serializers.HoldingOut(many=True)}
    )
    def get(self, request: Request) -> Response:
        """List holdings, newest first."""
        return self.page(request)


class HoldingRead(OfPrices):
    """One holding."""

    @extend_schema(operation_id="holdings_read", tags=TAGS, responses={200: serializers.HoldingOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return a holding."""
        return Response(serializers.HoldingOut(one_of(selector.holdings(), pk)).data)


class HoldingPropose(Idempotent, OfPrices):
    """Asks for a holding."""

    def prepare(self, request: Request) -> None:
        """Have the node make the addresses of a descriptor, and keep them for the handler."""
        body = serializers.HoldingProposal(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        given = dict(body.validated_data)
        own = {name: given[name] for name in OF_ADDRESSES if name in given}
        self.asked = given | {"addresses": holdings.gather(by=by, **own)}

    @extend_schema(
        operation_id="holdings_propose",
        tags=["proposals"],
        request=serializers.HoldingProposal,
        responses={201: ProposalOut},
    )
    def post(self, request: Request) -> Response:
        """Ask for a holding, another cap of one, or its end; another security administrator confirms it."""
        by: Any = request.user
        return answer_proposal(proposals.propose_holding(by=by, **self.asked), by)


class ScanList(PricesList):
    """Every scan."""

    serializer_class = serializers.ScanOut
    queryset = ReserveScan.objects.none()

    def rows(self) -> QuerySet[ReserveScan]:
        """Return every scan."""
        return selector.scans()

    @extend_schema(
        operation_id="reserve_scans_list", tags=TAGS, responses={200: serializers.ScanOut(many=True)}
    )
    def get(self, request: Request) -> Response:
        """List scans, newest first, and say which are of a block that left the chain."""
        return self.page(request)


class BalanceList(PricesList):
    """What a scan found."""

    serializer_class = serializers.BalanceOut
    filterset_class = filters.Balances
    queryset = ReserveBalance.objects.none()

    @extend_schema(
        operation_id="reserve_balances_list", tags=TAGS, responses={200: serializers.BalanceOut(many=True)}
    )
    def get(self, request: Request, pk: int) -> Response:
        """List what each address had at a scan."""
        one_of(selector.scans(), pk)
        return self.page(request)

    def rows(self) -> QuerySet[ReserveBalance]:
        """Return what this scan found."""
        return ReserveBalance.objects.filter(scan=self.kwargs["pk"])
