"""Vouchers: print them, redeem them, and take them back."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.serializers import Nothing
from payments.api import filters
from payments.api.serializers import rail as serializers
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import Voucher
from payments.selectors import rails as selector
from payments.selectors import scope
from payments.services import voucher_cancelling, vouchers

TAGS = ["vouchers"]


class VoucherList(ScopedList):
    """The vouchers of a program."""

    serializer_class = serializers.VoucherOut
    filterset_class = filters.Vouchers
    queryset = Voucher.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return those of the program in the address."""
        return selector.vouchers(self.request.user).filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="vouchers_list", tags=TAGS, responses={200: serializers.VoucherOut(many=True)}
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List vouchers, newest first."""
        return self.page(request)


class VoucherIssue(Scoped):
    """Slips to print; no answer of it is kept, so that a code is shown once."""

    @extend_schema(
        operation_id="disbursements_issue_vouchers",
        tags=TAGS,
        request=None,
        responses={201: serializers.SlipsOut},
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Make the codes of up to 500 vouchers of a list that have none, and return them this once."""
        with transaction.atomic():
            self.require_version(request, disbursement_id=disbursement_id)
            slips = act(request, vouchers.issue, Nothing, disbursement_id=disbursement_id)
        return Response(serializers.SlipsOut({"slips": slips}).data, status.HTTP_201_CREATED)


class VoucherRedeem(Scoped):
    """A code for money."""

    scope = staticmethod(scope.require_agent)
    limit = "vouchers"

    @extend_schema(
        operation_id="vouchers_redeem",
        tags=TAGS,
        request=serializers.VoucherCode,
        responses={200: serializers.VoucherOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Take a voucher's code as a paying agent, and pay its money out; it counts once."""
        row = act(request, vouchers.redeem, serializers.VoucherCode, program_id=program_id)
        return Response(serializers.VoucherOut(row).data)


class VoucherCancelAsk(Idempotent, Scoped):
    """One person asks."""

    @extend_schema(
        operation_id="vouchers_ask_to_cancel",
        tags=TAGS,
        request=serializers.CancelReason,
        responses={200: serializers.VoucherOut},
    )
    def post(self, request: Request, voucher_id: int) -> Response:
        """Ask for a voucher to be cancelled, for a reason; it counts until another person has decided."""
        row = act(request, voucher_cancelling.ask, serializers.CancelReason, voucher_id=voucher_id)
        return Response(serializers.VoucherOut(row).data)


class VoucherCancel(Idempotent, Scoped):
    """Another decides."""

    @extend_schema(
        operation_id="vouchers_cancel",
        tags=TAGS,
        request=serializers.Cancelling,
        responses={200: serializers.VoucherOut},
    )
    def post(self, request: Request, voucher_id: int) -> Response:
        """Cancel, as a second person, a voucher that somebody has asked for; returns what stands in for it, if anything."""
        row = act(request, voucher_cancelling.cancel, serializers.Cancelling, voucher_id=voucher_id)
        return Response(serializers.VoucherOut(row).data)
