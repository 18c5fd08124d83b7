"""Payments, payouts and the node; reading them asks the database only."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.pagination import OldestFirst
from ledger.packs import receipts
from payments.api import filters, versions
from payments.api.serializers import payment as serializers
from payments.api.serializers.disbursement import HistoryOut, Reason
from payments.api.serializers.trust import TakenInstead
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import Payout, StatusChange
from payments.selectors import disbursements as history_selector
from payments.selectors import node, scope
from payments.selectors import payments as selector
from payments.services import elections
from payments.services import holds as service

PAYMENT = {200: serializers.PaymentOut}


def _render(request: Request, payment_id: int) -> Response:
    row = selector.payments(request.user).get(pk=payment_id)
    return Response(serializers.PaymentOut(row).data)


versions.keep("payment_id", lock=service.hold_still, show=_render)


class PaymentRead(Scoped):
    """One payment."""

    scope = staticmethod(scope.require_person)

    @extend_schema(operation_id="payments_read", tags=["payments"], responses=PAYMENT)
    def get(self, request: Request, payment_id: int) -> Response:
        """Return a payment, with its tx and confirmations from the blocks that govpay has read."""
        return _render(request, payment_id)


class Receipt(Scoped):
    """The proof of one payment."""

    scope = staticmethod(scope.require_person)

    @extend_schema(
        operation_id="payments_receipt",
        tags=["payments"],
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (409, "application/problem+json"): OpenApiResponse(
                {"$ref": "#/components/schemas/Problem"},
                "It is not settled, or not sealed, yet; or it can have none.",
            ),
        },
    )
    def get(self, request: Request, payment_id: int) -> HttpResponse:
        """Return the receipt of a settled payment: a file that proves it, with nothing of anybody else's in it.

        Answers 409 `receipt_not_ready` until the payment is settled and its entry is under a checkpoint, and `no_receipt`
        where what is sealed of it never proves it alone: `details.rule` says why.
        """
        response = HttpResponse(receipts.make(payment_id), content_type="application/octet-stream")
        response["Content-Disposition"] = f'attachment; filename="receipt-{payment_id}.json"'
        return response


class Hold(Idempotent, Scoped):
    """Stops a payment."""

    @extend_schema(operation_id="payments_hold", tags=["payments"], request=Reason, responses=PAYMENT)
    def post(self, request: Request, payment_id: int) -> Response:
        """Stop a payment that is in no payout yet."""
        act(request, service.hold, Reason, payment_id=payment_id)
        return _render(request, payment_id)


class HoldMany(Idempotent, Scoped):
    """Stops payments of a list."""

    @extend_schema(
        operation_id="disbursements_hold_payments",
        tags=["payments"],
        request=serializers.PaymentsToHold,
        responses={200: serializers.PaymentsHeld},
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Stop up to a thousand payments of a list that are in no payout yet, all or none."""
        body = serializers.PaymentsToHold(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        asked = body.validated_data
        count = service.hold_many(
            by=by, disbursement_id=disbursement_id, payment_ids=asked["payments"], note=asked["note"]
        )
        return Response(serializers.PaymentsHeld({"count": count}).data)


class Resume(Idempotent, Scoped):
    """Lets a held payment go on."""

    @extend_schema(operation_id="payments_resume", tags=["payments"], request=Reason, responses=PAYMENT)
    def post(self, request: Request, payment_id: int) -> Response:
        """Let a held payment go on; not by the person who held it."""
        act(request, service.resume, Reason, payment_id=payment_id)
        return _render(request, payment_id)


class Withdraw(Idempotent, Scoped):
    """Takes a held payment out for good."""

    @extend_schema(operation_id="payments_withdraw", tags=["payments"], request=Reason, responses=PAYMENT)
    def post(self, request: Request, payment_id: int) -> Response:
        """Never pay a held payment in this list; not by the person who held it."""
        act(request, service.withdraw, Reason, payment_id=payment_id)
        return _render(request, payment_id)


class TakeBitcoin(Idempotent, Scoped):
    """A person takes bitcoin where the trust takes none."""

    @extend_schema(
        operation_id="payments_take_bitcoin", tags=["payments"], request=TakenInstead, responses=PAYMENT
    )
    def post(self, request: Request, payment_id: int) -> Response:
        """Withdraw a line that a trust did not take, and have its person elect bitcoin: another list pays them."""
        act(request, elections.take_bitcoin, TakenInstead, payment_id=payment_id)
        return _render(request, payment_id)


class TakeVoucher(Idempotent, Scoped):
    """A person takes a voucher where the trust takes no bitcoin."""

    @extend_schema(
        operation_id="payments_take_voucher", tags=["payments"], request=TakenInstead, responses=PAYMENT
    )
    def post(self, request: Request, payment_id: int) -> Response:
        """Withdraw a line that a trust did not take, so that another list pays its person by voucher."""
        act(request, elections.take_voucher, TakenInstead, payment_id=payment_id)
        return _render(request, payment_id)


class AskAgain(Idempotent, Scoped):
    """A trust is asked again for a person's currency."""

    @extend_schema(
        operation_id="payments_ask_trust_again", tags=["payments"], request=TakenInstead, responses=PAYMENT
    )
    def post(self, request: Request, payment_id: int) -> Response:
        """Withdraw a line that a trust did not take, so that another list asks the trust of its person again."""
        act(request, elections.ask_again, TakenInstead, payment_id=payment_id)
        return _render(request, payment_id)


class PaymentHistory(ScopedList):
    """Who did what to a payment, when and why."""

    serializer_class = HistoryOut
    pagination_class = OldestFirst
    queryset = StatusChange.objects.none()
    scope = staticmethod(scope.require_person)

    def get_queryset(self) -> QuerySet[StatusChange]:
        """Return the changes of the payment in the address."""
        return history_selector.history("payment", self.kwargs["payment_id"])

    @extend_schema(operation_id="payments_history", tags=["payments"], responses={200: HistoryOut(many=True)})
    def get(self, request: Request, payment_id: int) -> Response:
        """List changes of status, oldest first."""
        return self.page(request)


class PayoutList(ScopedList):
    """The payouts of the user's programs."""

    serializer_class = serializers.PayoutOut
    filterset_class = filters.Payouts
    queryset = Payout.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return what the user may see."""
        return selector.payouts(self.request.user)

    @extend_schema(
        operation_id="payouts_list", tags=["payments"], responses={200: serializers.PayoutOut(many=True)}
    )
    def get(self, request: Request) -> Response:
        """List payouts, newest first."""
        return self.page(request)


class PayoutRead(Scoped):
    """One payout."""

    @extend_schema(operation_id="payouts_read", tags=["payments"], responses={200: serializers.PayoutDetail})
    def get(self, request: Request, payout_id: int) -> Response:
        """Return a payout with its signed txs, its inputs, and why it waits."""
        row = selector.payouts(request.user).get(pk=payout_id)
        row |= {"txs": selector.payout_txs(payout_id), "inputs": selector.payout_inputs(payout_id)}
        return Response(serializers.PayoutDetail(row).data)


class PayoutHistory(ScopedList):
    """What happened to a payout."""

    serializer_class = HistoryOut
    pagination_class = OldestFirst
    queryset = StatusChange.objects.none()

    def get_queryset(self) -> QuerySet[StatusChange]:
        """Return the changes of the payout in the address."""
        return history_selector.history("payout", self.kwargs["payout_id"])

    @extend_schema(operation_id="payouts_history", tags=["payments"], responses={200: HistoryOut(many=True)})
    def get(self, request: Request, payout_id: int) -> Response:
        """List changes of status, oldest first."""
        return self.page(request)


class NodeRead(Scoped):
    """The node, as the engine last saw it."""

    @extend_schema(operation_id="node_read", tags=["node"], responses={200: serializers.NodeOut})
    def get(self, request: Request) -> Response:
        """Return the last look at the node and its age."""
        return Response(serializers.NodeOut(node.last_look()).data)
