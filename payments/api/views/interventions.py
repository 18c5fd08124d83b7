"""What people ask of the engine: look, propose, approve, reject; and reissue what was voided."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.pagination import OldestFirst
from govpay.api.serializers import Nothing
from payments.api import filters, versions
from payments.api.serializers import intervention as serializers
from payments.api.serializers.disbursement import DisbursementDetail, HistoryOut, Reason
from payments.api.views.disbursements import render
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import Intervention, StatusChange
from payments.selectors import disbursements as history_selector
from payments.selectors import interventions as selector
from payments.services import interventions as service
from payments.services import reissues

ONE = {200: serializers.InterventionOut}


def _render(request: Request, intervention_id: int, code: int = status.HTTP_200_OK) -> Response:
    row = selector.visible(request.user).get(pk=intervention_id)
    return Response(serializers.InterventionOut(row).data, code)


versions.keep("intervention_id", lock=service.hold_still, show=_render)


class _Looks(Idempotent, Scoped):
    """Looks at node and payout before the database transaction, in which nobody may wait for a node."""

    body_class: type[serializers.Look] = serializers.Look

    def prepare(self, request: Request, payout_id: int) -> None:
        """Read the body and keep the figures for the handler."""
        self.body = self.body_class(data=request.data)
        self.body.is_valid(raise_exception=True)
        by: Any = request.user
        self.shown = service.preview(
            by=by,
            payout_id=payout_id,
            kind=self.body.validated_data["kind"],
            feerate_sat_kvb=self.body.validated_data.get("feerate_sat_vb"),
            over_pending=self.body.validated_data["over_pending"],
        )


class PayoutPreview(_Looks):
    """What the engine would build."""

    @extend_schema(
        operation_id="payouts_preview",
        tags=["interventions"],
        request=serializers.Look,
        responses={200: serializers.PreviewOut},
    )
    def post(self, request: Request, payout_id: int) -> Response:
        """Show old and new fee, size and rate of a bump, child or void; it asks the node, and changes nothing."""
        return Response(serializers.PreviewOut(self.shown).data)


class PayoutInterventions(_Looks, ScopedList):
    """What was asked for about a payout."""

    body_class = serializers.Proposal
    serializer_class = serializers.InterventionOut
    filterset_class = filters.Interventions
    queryset = Intervention.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return those of the payout in the address."""
        return selector.visible(self.request.user).filter(payout_id=self.kwargs["payout_id"])

    @extend_schema(
        operation_id="payouts_interventions_list",
        tags=["interventions"],
        responses={200: serializers.InterventionOut(many=True)},
    )
    def get(self, request: Request, payout_id: int) -> Response:
        """List what was asked for, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="payouts_interventions_create",
        tags=["interventions"],
        request=serializers.Proposal,
        responses={201: serializers.InterventionOut},
    )
    def post(self, request: Request, payout_id: int) -> Response:
        """Ask for a bump, a child, a void or a thaw; the engine does it once enough people agreed."""
        by: Any = request.user
        given = self.body.validated_data
        made = service.propose(
            by=by, payout_id=payout_id, kind=given["kind"], note=given["note"], shown=self.shown
        )
        return _render(request, made.pk, status.HTTP_201_CREATED)


class Unhalt(Idempotent, Scoped):
    """Lets a halted wallet pay again."""

    def prepare(self, request: Request, program_id: int) -> None:
        """Look whether the cause of the halt is gone."""
        self.body = serializers.UnhaltProposal(data=request.data)
        self.body.is_valid(raise_exception=True)
        by: Any = request.user
        self.shown = service.look_at_halt(by=by, program_id=program_id)

    @extend_schema(
        operation_id="programs_wallet_unhalt",
        tags=["interventions"],
        request=serializers.UnhaltProposal,
        responses={201: serializers.InterventionOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Ask for the halt to be lifted; a second person decides, and it is refused while the cause stands."""
        by: Any = request.user
        note = self.body.validated_data["note"]
        made = service.propose_unhalt(by=by, program_id=program_id, note=note, shown=self.shown)
        return _render(request, made.pk, status.HTTP_201_CREATED)


class InterventionList(ScopedList):
    """What was asked for in the user's programs."""

    serializer_class = serializers.InterventionOut
    filterset_class = filters.Interventions
    queryset = Intervention.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return what the user may see."""
        return selector.visible(self.request.user)

    @extend_schema(
        operation_id="interventions_list",
        tags=["interventions"],
        responses={200: serializers.InterventionOut(many=True)},
    )
    def get(self, request: Request) -> Response:
        """List interventions, newest first; ``waits_for_me`` finds those that you may decide."""
        return self.page(request)


class InterventionRead(Scoped):
    """One intervention."""

    @extend_schema(operation_id="interventions_read", tags=["interventions"], responses=ONE)
    def get(self, request: Request, intervention_id: int) -> Response:
        """Return an intervention with the figures that were looked at, and what became of it."""
        return _render(request, intervention_id)


class Approve(Idempotent, Scoped):
    """A second person agrees."""

    @extend_schema(
        operation_id="interventions_approve",
        tags=["interventions"],
        request=serializers.Consent,
        responses=ONE,
    )
    def post(self, request: Request, intervention_id: int) -> Response:
        """Agree to what somebody else proposed; the engine builds nothing dearer than its figures."""
        act(request, service.approve, serializers.Consent, intervention_id=intervention_id)
        return _render(request, intervention_id)


class Reject(Idempotent, Scoped):
    """A second person refuses."""

    @extend_schema(operation_id="interventions_reject", tags=["interventions"], request=Reason, responses=ONE)
    def post(self, request: Request, intervention_id: int) -> Response:
        """Refuse what somebody else proposed, for a reason."""
        act(request, service.reject, Reason, intervention_id=intervention_id)
        return _render(request, intervention_id)


class Withdraw(Idempotent, Scoped):
    """Whoever proposed it takes it back."""

    @extend_schema(
        operation_id="interventions_withdraw", tags=["interventions"], request=Reason, responses=ONE
    )
    def post(self, request: Request, intervention_id: int) -> Response:
        """Take back, for a reason, what you proposed and nobody has decided yet."""
        act(request, service.withdraw, Reason, intervention_id=intervention_id)
        return _render(request, intervention_id)


class InterventionHistory(ScopedList):
    """Who said what to an intervention."""

    serializer_class = HistoryOut
    pagination_class = OldestFirst
    queryset = StatusChange.objects.none()

    def get_queryset(self) -> QuerySet[StatusChange]:
        """Return the changes of the intervention in the address."""
        return history_selector.history("intervention", self.kwargs["intervention_id"])

    @extend_schema(
        operation_id="interventions_history",
        tags=["interventions"],
        responses={200: HistoryOut(many=True)},
    )
    def get(self, request: Request, intervention_id: int) -> Response:
        """List changes of status, oldest first."""
        return self.page(request)


class PayoutReissues(Idempotent, Scoped):
    """Makes a list of a voided payout's payments."""

    @extend_schema(
        operation_id="payouts_reissue",
        tags=["lists"],
        request=None,
        responses={201: DisbursementDetail},
    )
    def post(self, request: Request, payout_id: int) -> Response:
        """Make a draft of a voided payout's payments; it goes through three people like any list."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        by: Any = request.user
        return render(request, reissues.of_payout(by=by, payout_id=payout_id).pk, status.HTTP_201_CREATED)


class DisbursementReissues(Idempotent, Scoped):
    """Makes a list of everything in a list that is void."""

    @extend_schema(
        operation_id="disbursements_reissue",
        tags=["lists"],
        request=None,
        responses={201: DisbursementDetail},
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Make a draft of all voided payments of a list; it goes through three people like any list."""
        made = act(request, reissues.of_list, Nothing, disbursement_id=disbursement_id)
        return render(request, made.pk, status.HTTP_201_CREATED)
