"""Lists: make, submit, approve, reject, release, cancel, and see how far they are."""

from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.pagination import LineOrder, OldestFirst
from govpay.api.parsers import StrictJSONParser, UploadParser
from govpay.api.serializers import Nothing
from payments.api import filters, versions
from payments.api.serializers import disbursement as serializers
from payments.api.serializers.payment import PaymentOut, PayoutOut
from payments.api.serializers.people import IntakeProblem
from payments.api.views import intakes
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import Disbursement, Intake, Payment, Payout, StatusChange
from payments.models.intake import IntakeStatus
from payments.selectors import disbursements as selector
from payments.selectors import estimates, scope
from payments.selectors import payments as payment_selector
from payments.services import conversions, lists
from payments.services import disbursements as service

DETAIL = {200: serializers.DisbursementDetail}


class DisbursementList(Idempotent, ScopedList):
    """The lists of a program."""

    serializer_class = serializers.DisbursementOut
    filterset_class = filters.Disbursements
    parser_classes = [StrictJSONParser, UploadParser]
    queryset = Disbursement.objects.none()
    scope = staticmethod(scope.require_person)

    def get_queryset(self) -> QuerySet[Disbursement]:
        """Return the lists of the program in the address."""
        return selector.visible(self.request.user).filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="disbursements_list",
        tags=["lists"],
        responses={200: serializers.DisbursementOut(many=True)},
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List lists, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="disbursements_create",
        tags=["lists"],
        request={
            "application/json": serializers.ListFromLines,
            "multipart/form-data": serializers.ListFromFile,
        },
        responses={
            201: serializers.DisbursementDetail,
            (422, "application/problem+json"): IntakeProblem,
        },
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Make a draft list, whole or not at all, from JSON lines or a CSV file with control totals."""
        intake = _make(request, program_id)
        if intake.status != IntakeStatus.LOADED:
            return intakes.refused_or(intake, None)
        return render(request, intake.disbursement.pk, status.HTTP_201_CREATED)


def _make(request: Request, program_id: int) -> Intake:
    by: Any = request.user
    if not isinstance(request.data, QueryDict):
        lines = serializers.ListFromLines(data=request.data)
        lines.is_valid(raise_exception=True)
        rows = lines.validated_data.pop("lines")
        return lists.create_from_rows(by=by, program_id=program_id, rows=rows, **lines.validated_data)
    upload = serializers.ListFromFile(data=request.data)
    upload.is_valid(raise_exception=True)
    file = upload.validated_data["file"]
    return lists.create_from_csv(by=by, program_id=program_id, filename=file.name, **upload.validated_data)


def render(request: Request, disbursement_id: int, code: int = status.HTTP_200_OK) -> Response:
    """Answer with a list and its progress."""
    disbursement: Any = selector.get(request.user, disbursement_id)
    disbursement.progress = selector.progress(disbursement_id)
    return Response(serializers.DisbursementDetail(disbursement).data, code)


versions.keep("disbursement_id", lock=service.hold_still, show=render)


class DisbursementRead(Scoped):
    """One list."""

    scope = staticmethod(scope.require_person)

    @extend_schema(operation_id="disbursements_read", tags=["lists"], responses=DETAIL)
    def get(self, request: Request, disbursement_id: int) -> Response:
        """Return a list with its control totals, its manifest hash and its progress."""
        return render(request, disbursement_id)


class Submit(Idempotent, Scoped):
    """The maker fixes a list."""

    @extend_schema(operation_id="disbursements_submit", tags=["lists"], request=None, responses=DETAIL)
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Copy each person's destination, fix the manifest and the fee ceiling."""
        act(request, service.submit, Nothing, disbursement_id=disbursement_id)
        return render(request, disbursement_id)


class Approve(Idempotent, Scoped):
    """A second person agrees."""

    @extend_schema(
        operation_id="disbursements_approve", tags=["lists"], request=serializers.Approving, responses=DETAIL
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Agree to exactly this manifest; with the last approval that the list's tier needs the funds are reserved."""
        act(request, service.approve, serializers.Approving, disbursement_id=disbursement_id)
        return render(request, disbursement_id)


class Reject(Idempotent, Scoped):
    """A second person refuses."""

    @extend_schema(
        operation_id="disbursements_reject", tags=["lists"], request=serializers.Reason, responses=DETAIL
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Refuse a submitted list for a reason."""
        act(request, service.reject, serializers.Reason, disbursement_id=disbursement_id)
        return render(request, disbursement_id)


class Estimated(Scoped):
    """What a list of money would be in satoshis at the price now, for whoever approves it."""

    scope = staticmethod(scope.require_person)

    @extend_schema(
        operation_id="disbursements_estimate", tags=["lists"], responses={200: serializers.EstimateOut}
    )
    def get(self, request: Request, disbursement_id: int) -> Response:
        """Tell satoshis, price and its age; nothing of it binds anybody, and no quote is taken."""
        found = estimates.of_list(selector.get(request.user, disbursement_id), at=timezone.now())
        return Response(serializers.EstimateOut(found).data)


class Quoted(Idempotent, Scoped):
    """What a list of money would be in satoshis by a quote that is taken now."""

    @extend_schema(
        operation_id="disbursements_quote",
        tags=["lists"],
        request=None,
        responses={201: serializers.QuotedOut},
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Take a quote for an approved list, and say what it would be by that; it holds until `expires_at`."""
        found = act(request, conversions.preview, Nothing, disbursement_id=disbursement_id)
        return Response(serializers.QuotedOut(found).data, status.HTTP_201_CREATED)


class Release(Idempotent, Scoped):
    """A third person lets the engine pay."""

    @extend_schema(
        operation_id="disbursements_release", tags=["lists"], request=serializers.Releasing, responses=DETAIL
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Let the engine pay exactly the manifest that was approved; a list of money is converted by the quote."""
        act(request, service.release, serializers.Releasing, disbursement_id=disbursement_id)
        return render(request, disbursement_id)


class Cancel(Idempotent, Scoped):
    """Withdraws a list before release."""

    @extend_schema(
        operation_id="disbursements_cancel", tags=["lists"], request=serializers.Reason, responses=DETAIL
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Withdraw a list that was not released, for a reason."""
        act(request, service.cancel, serializers.Reason, disbursement_id=disbursement_id)
        return render(request, disbursement_id)


class DisbursementPayments(ScopedList):
    """The payments of a list."""

    serializer_class = PaymentOut
    filterset_class = filters.Payments
    pagination_class = LineOrder
    expansions = {"payout": payment_selector.add_payouts}
    queryset = Payment.objects.none()
    scope = staticmethod(scope.require_person)

    def get_queryset(self) -> QuerySet[Any]:
        """Return the payments of the list in the address."""
        rows = payment_selector.payments(self.request.user)
        return rows.filter(disbursement_id=self.kwargs["disbursement_id"])

    @extend_schema(
        operation_id="disbursements_payments_list", tags=["lists"], responses={200: PaymentOut(many=True)}
    )
    def get(self, request: Request, disbursement_id: int) -> Response:
        """List payments in the order of their lines."""
        return self.page(request)


class DisbursementPayouts(ScopedList):
    """The payouts of a list."""

    serializer_class = PayoutOut
    filterset_class = filters.PayoutsOfList
    queryset = Payout.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return the payouts of the list in the address."""
        rows = payment_selector.payouts(self.request.user)
        return rows.filter(disbursement_id=self.kwargs["disbursement_id"])

    @extend_schema(
        operation_id="disbursements_payouts_list", tags=["lists"], responses={200: PayoutOut(many=True)}
    )
    def get(self, request: Request, disbursement_id: int) -> Response:
        """List payouts, newest first."""
        return self.page(request)


class DisbursementHistory(ScopedList):
    """Who did what to a list, when and why."""

    serializer_class = serializers.HistoryOut
    pagination_class = OldestFirst
    queryset = StatusChange.objects.none()

    def get_queryset(self) -> QuerySet[StatusChange]:
        """Return the changes of the list in the address."""
        return selector.history("disbursement", self.kwargs["disbursement_id"])

    @extend_schema(
        operation_id="disbursements_history",
        tags=["lists"],
        responses={200: serializers.HistoryOut(many=True)},
    )
    def get(self, request: Request, disbursement_id: int) -> Response:
        """List changes of status, oldest first."""
        return self.page(request)
