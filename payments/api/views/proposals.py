"""Proposals: ask for a change of rules or roles; confirm, reject or withdraw it."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.pagination import OldestFirst
from govpay.errors import NotFound
from payments.api import filters
from payments.api.serializers import proposal as serializers
from payments.api.serializers.disbursement import HistoryOut, Reason
from payments.api.serializers.intervention import Consent
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import Proposal, StatusChange
from payments.selectors import disbursements as history_selector
from payments.selectors import proposals as selector
from payments.selectors import scope
from payments.services import proposals as service

ONE = {200: serializers.ProposalOut}
MADE = {201: serializers.ProposalOut}


def _render(request: Request, proposal_id: int, code: int = status.HTTP_200_OK) -> Response:
    row = selector.visible(request.user).get(pk=proposal_id)
    return Response(serializers.ProposalOut(row).data, code)


def _proposal_exists(*, user: Any, proposal_id: int) -> None:
    if not selector.visible(user).filter(pk=proposal_id).exists():
        raise NotFound("There is no such thing in your programs.")


class ProposalList(ScopedList):
    """What was proposed in the user's programs."""

    serializer_class = serializers.ProposalOut
    filterset_class = filters.Proposals
    queryset = Proposal.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return what the user may see."""
        return selector.visible(self.request.user)

    @extend_schema(
        operation_id="proposals_list",
        tags=["proposals"],
        responses={200: serializers.ProposalOut(many=True)},
    )
    def get(self, request: Request) -> Response:
        """List proposals, newest first; ``waits_for_me`` finds those that you may confirm."""
        return self.page(request)


class ProposeRules(Idempotent, Scoped):
    """Asks for other rules."""

    scope = staticmethod(scope.require_authority)

    @extend_schema(
        operation_id="programs_propose_rules",
        tags=["proposals"],
        request=serializers.RulesProposal,
        responses=MADE,
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Ask for other rules of a program; another security administrator confirms them."""
        body = serializers.RulesProposal(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        made = service.propose_rules(
            by=by,
            program_id=program_id,
            asked=body.validated_data["rules"],
            note=body.validated_data["note"],
        )
        return _render(request, made.pk, status.HTTP_201_CREATED)


class ProposeRole(Idempotent, Scoped):
    """Asks for a role to be given or to end."""

    scope = staticmethod(scope.require_authority)

    @extend_schema(
        operation_id="programs_propose_role",
        tags=["proposals"],
        request=serializers.RoleProposal,
        responses=MADE,
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Ask for a role to be given to somebody, or to end; another security administrator confirms it."""
        made = act(request, service.propose_role, serializers.RoleProposal, program_id=program_id)
        return _render(request, made.pk, status.HTTP_201_CREATED)


class ProposalRead(Scoped):
    """One proposal."""

    scope = staticmethod(_proposal_exists)

    @extend_schema(operation_id="proposals_read", tags=["proposals"], responses=ONE)
    def get(self, request: Request, proposal_id: int) -> Response:
        """Return a proposal with what it changes."""
        return _render(request, proposal_id)


class Confirm(Idempotent, Scoped):
    """A second person agrees."""

    scope = staticmethod(_proposal_exists)

    @extend_schema(operation_id="proposals_confirm", tags=["proposals"], request=Consent, responses=ONE)
    def post(self, request: Request, proposal_id: int) -> Response:
        """Agree to what somebody else proposed; it is done at once, unless what it changes has changed since."""
        act(request, service.confirm, Consent, proposal_id=proposal_id)
        return _render(request, proposal_id)


class Reject(Idempotent, Scoped):
    """A second person refuses."""

    scope = staticmethod(_proposal_exists)

    @extend_schema(operation_id="proposals_reject", tags=["proposals"], request=Reason, responses=ONE)
    def post(self, request: Request, proposal_id: int) -> Response:
        """Refuse what somebody else proposed, for a reason."""
        act(request, service.reject, Reason, proposal_id=proposal_id)
        return _render(request, proposal_id)


class Withdraw(Idempotent, Scoped):
    """Whoever proposed it takes it back."""

    scope = staticmethod(_proposal_exists)

    @extend_schema(operation_id="proposals_withdraw", tags=["proposals"], request=Reason, responses=ONE)
    def post(self, request: Request, proposal_id: int) -> Response:
        """Take back, for a reason, what you proposed and nobody has decided yet."""
        act(request, service.withdraw, Reason, proposal_id=proposal_id)
        return _render(request, proposal_id)


class ProposalHistory(ScopedList):
    """Who said what to a proposal."""

    serializer_class = HistoryOut
    pagination_class = OldestFirst
    queryset = StatusChange.objects.none()
    scope = staticmethod(_proposal_exists)

    def get_queryset(self) -> QuerySet[StatusChange]:
        """Return the changes of the proposal in the address."""
        return history_selector.history("proposal", self.kwargs["proposal_id"])

    @extend_schema(
        operation_id="proposals_history", tags=["proposals"], responses={200: HistoryOut(many=True)}
    )
    def get(self, request: Request, proposal_id: int) -> Response:
        """List changes of status, oldest first."""
        return self.page(request)
