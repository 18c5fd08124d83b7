"""Convertibility trusts: their money and boards, decisions, legs, and what people elect to be paid in."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.serializers import Nothing
from payments.api import trust_filters as filters
from payments.api.serializers import trust as serializers
from payments.api.serializers.disbursement import DisbursementDetail
from payments.api.serializers.proposal import ProposalOut
from payments.api.views.disbursements import render
from payments.api.views.prices import answer_proposal, one_of
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import Election, Trust, TrustDecision, TrustLeg
from payments.selectors import trusts as selector
from payments.services import chosen_lists, elections, proposals, trust_boards

TAGS = ["trusts"]


class OfTrusts(Scoped):
    """Answers 404 to whoever reads no trusts."""

    scope = staticmethod(selector.require)

    def decision(self, pk: int, code: int = status.HTTP_200_OK) -> Response:
        """Return a decision as it stands."""
        row = selector.decisions().get(pk=pk)
        return Response(serializers.DecisionOut(row, context={"request": self.request}).data, code)


class TrustsList(OfTrusts, ScopedList):
    """A list for whoever reads trusts, and an empty one for everybody else."""

    def rows(self) -> QuerySet[Any]:
        """Return all of them."""
        raise NotImplementedError

    def get_queryset(self) -> QuerySet[Any]:
        """Return what the user may see."""
        found = self.rows()
        return found if selector.may_read(self.request.user) else found.none()


class TrustList(TrustsList):
    """Every trust."""

    serializer_class = serializers.TrustOut
    queryset = Trust.objects.none()

    def rows(self) -> QuerySet[Trust]:
        """Return every trust."""
        return selector.trusts()

    @extend_schema(operation_id="trusts_list", tags=TAGS, responses={200: serializers.TrustOut(many=True)})
    def get(self, request: Request) -> Response:
        """List trusts with their money, newest first."""
        return self.page(request)


class TrustRead(OfTrusts):
    """One trust."""

    @extend_schema(operation_id="trusts_read", tags=TAGS, responses={200: serializers.TrustOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return a trust."""
        return Response(serializers.TrustOut(one_of(selector.trusts(), pk)).data)


class TrustPropose(Idempotent, OfTrusts):
    """Asks for a trust."""

    @extend_schema(
        operation_id="trusts_propose",
        tags=["proposals"],
        request=serializers.TrustProposal,
        responses={201: ProposalOut},
    )
    def post(self, request: Request) -> Response:
        """Ask for a trust, another board, or another law of one; another security administrator confirms it."""
        return answer_proposal(act(request, proposals.propose_trust, serializers.TrustProposal), request.user)


class DecisionList(Idempotent, TrustsList):
    """What a board was asked, and a new question."""

    serializer_class = serializers.DecisionOut
    filterset_class = filters.TrustDecisions
    queryset = TrustDecision.objects.none()

    def rows(self) -> QuerySet[TrustDecision]:
        """Return what the board of the trust in the address was asked."""
        return selector.decisions().filter(trust=self.kwargs["pk"])

    @extend_schema(
        operation_id="trust_decisions_list",
        tags=TAGS,
        responses={200: serializers.DecisionOut(many=True)},
    )
    def get(self, request: Request, pk: int) -> Response:
        """List decisions, newest first."""
        one_of(selector.trusts(), pk)
        return self.page(request)

    @extend_schema(
        operation_id="trust_decisions_propose",
        tags=TAGS,
        request=serializers.DecisionAsked,
        responses={201: serializers.DecisionOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Ask the board, as one of it; it is done when a second member signs."""
        made = act(request, trust_boards.propose, serializers.DecisionAsked, trust_id=pk)
        return self.decision(made.pk, status.HTTP_201_CREATED)


class DecisionRead(OfTrusts):
    """One decision."""

    @extend_schema(operation_id="trust_decisions_read", tags=TAGS, responses={200: serializers.DecisionOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return a decision."""
        one_of(selector.decisions(), pk)
        return self.decision(pk)


class DecisionSign(Idempotent, OfTrusts):
    """A second member signs."""

    @extend_schema(
        operation_id="trust_decisions_sign",
        tags=TAGS,
        request=Nothing,
        responses={200: serializers.DecisionOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Sign a decision as a second member of the board; it is done with that."""
        act(request, trust_boards.sign, Nothing, decision_id=pk)
        return self.decision(pk)


class DecisionWithdraw(Idempotent, OfTrusts):
    """Its proposer takes it back."""

    @extend_schema(
        operation_id="trust_decisions_withdraw",
        tags=TAGS,
        request=serializers.DecisionReason,
        responses={200: serializers.DecisionOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Take back what one proposed oneself, and nobody else has signed."""
        act(request, trust_boards.withdraw, serializers.DecisionReason, decision_id=pk)
        return self.decision(pk)


class LegList(TrustsList):
    """What people asked a trust to take."""

    serializer_class = serializers.LegOut
    filterset_class = filters.TrustLegs
    queryset = TrustLeg.objects.none()

    def rows(self) -> QuerySet[TrustLeg]:
        """Return the legs of the trust in the address."""
        return selector.legs(self.request.user).filter(trust=self.kwargs["pk"])

    @extend_schema(operation_id="trust_legs_list", tags=TAGS, responses={200: serializers.LegOut(many=True)})
    def get(self, request: Request, pk: int) -> Response:
        """List legs, newest first, with what each is worth and where it stands."""
        one_of(selector.trusts(), pk)
        return self.page(request)


class Elections(Idempotent, ScopedList):
    """What a person elected."""

    serializer_class = serializers.ElectionOut
    queryset = Election.objects.none()

    def get_queryset(self) -> QuerySet[Election]:
        """Return what the person in the address elected."""
        return selector.elections(self.kwargs["enrollment_id"])

    @extend_schema(
        operation_id="elections_list", tags=["people"], responses={200: serializers.ElectionOut(many=True)}
    )
    def get(self, request: Request, enrollment_id: int) -> Response:
        """List what the person elected, the last first; that one counts."""
        return self.page(request)

    @extend_schema(
        operation_id="elections_make",
        tags=["people"],
        request=serializers.ElectionMade,
        responses={201: serializers.ElectionOut},
    )
    def post(self, request: Request, enrollment_id: int) -> Response:
        """Write down what the person wants to be paid in from the next list on."""
        made = act(request, elections.elect, serializers.ElectionMade, enrollment_id=enrollment_id)
        return Response(serializers.ElectionOut(made).data, status.HTTP_201_CREATED)


class ListChosen(Idempotent, Scoped):
    """Makes a list of what people chose instead of currency."""

    @extend_schema(
        operation_id="disbursements_list_choices",
        tags=["lists"],
        request=serializers.ListOfChoices,
        responses={201: DisbursementDetail},
    )
    def post(self, request: Request, disbursement_id: int) -> Response:
        """Make a draft, on the rail, of those whose lines of this list no trust took and who chose it instead."""
        made = act(request, chosen_lists.of_list, serializers.ListOfChoices, disbursement_id=disbursement_id)
        return render(request, made.pk, status.HTTP_201_CREATED)
