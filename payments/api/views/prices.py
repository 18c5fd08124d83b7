"""Prices: what they are now and by whom, quotes, prices by hand, breakers, and proposals of rules and sources."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.errors import NotFound
from payments.api import filters
from payments.api.serializers import price as serializers
from payments.api.serializers.proposal import ProposalOut
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import ManualPrice, PriceBreaker, PriceRule, Proposal, Quote
from payments.selectors import prices as selector
from payments.selectors import proposals as proposal_selector
from payments.services import prices as service
from payments.services import proposals

TAGS = ["prices"]


def one_of(rows: QuerySet[Any], pk: int) -> Any:
    """Return a row by its number; raise NotFound."""
    row = rows.filter(pk=pk).first()
    if row is None:
        raise NotFound("There is no such thing in your programs.")
    return row


def _manual_price(pk: int, code: int = status.HTTP_200_OK) -> Response:
    return Response(serializers.ManualPriceOut(selector.manual_prices().get(pk=pk)).data, code)


def _breaker(pk: int) -> Response:
    return Response(serializers.BreakerOut(selector.breakers().get(pk=pk)).data)


def answer_proposal(made: Proposal, user: Any) -> Response:
    """Return the answer to whoever proposed something."""
    row = proposal_selector.visible(user).get(pk=made.pk)
    return Response(ProposalOut(row).data, status.HTTP_201_CREATED)


class OfPrices(Scoped):
    """Answers 404 to whoever reads no prices."""

    scope = staticmethod(selector.require)


class PricesList(ScopedList):
    """A list for whoever reads prices, and an empty one for everybody else."""

    scope = staticmethod(selector.require)

    def rows(self) -> QuerySet[Any]:
        """Return all of them."""
        raise NotImplementedError

    def get_queryset(self) -> QuerySet[Any]:
        """Return what the user may see."""
        found = self.rows()
        return found if selector.may_read(self.request.user) else found.none()


class PriceList(PricesList):
    """Every currency whose price is made."""

    serializer_class = serializers.PriceOut
    filterset_class = filters.Prices
    queryset = PriceRule.objects.none()

    def rows(self) -> QuerySet[Any]:
        """Return every rule."""
        return selector.rules()

    @extend_schema(operation_id="prices_list", tags=TAGS, responses={200: serializers.PriceOut(many=True)})
    def get(self, request: Request) -> Response:
        """List currencies with the price now, or the rule that stands against one, and what every source said last."""
        found = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        boards = selector.boards(found, at=timezone.now())
        return self.get_paginated_response(self.get_serializer(boards, many=True).data)


class PriceRead(OfPrices):
    """One currency."""

    @extend_schema(operation_id="prices_read", tags=TAGS, responses={200: serializers.PriceOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return a currency, as in the list."""
        (board,) = selector.boards([one_of(selector.rules(), pk)], at=timezone.now())
        return Response(serializers.PriceOut(board).data)


class ProposeRule(Idempotent, OfPrices):
    """Asks for a rule."""

    @extend_schema(
        operation_id="prices_propose_rule",
        tags=["proposals"],
        request=serializers.RuleProposal,
        responses={201: ProposalOut},
    )
    def post(self, request: Request) -> Response:
        """Ask for a rule by which a price is made, or changes of it; another security administrator confirms it."""
        return answer_proposal(
            act(request, proposals.propose_price_rule, serializers.RuleProposal), request.user
        )


class ProposeSource(Idempotent, OfPrices):
    """Asks for a source."""

    @extend_schema(
        operation_id="prices_propose_source",
        tags=["proposals"],
        request=serializers.SourceProposal,
        responses={201: ProposalOut},
    )
    def post(self, request: Request) -> Response:
        """Ask for a source of prices, changes of one, or its end; another security administrator confirms it."""
        return answer_proposal(
            act(request, proposals.propose_price_source, serializers.SourceProposal), request.user
        )


class QuoteList(PricesList):
    """Every quote."""

    serializer_class = serializers.QuoteOut
    filterset_class = filters.Quotes
    queryset = Quote.objects.none()

    def rows(self) -> QuerySet[Any]:
        """Return every quote."""
        return selector.quoted()

    @extend_schema(operation_id="quotes_list", tags=TAGS, responses={200: serializers.QuoteOut(many=True)})
    def get(self, request: Request) -> Response:
        """List quotes, newest first, each with what every source had said."""
        return self.page(request)


class QuoteRead(OfPrices):
    """One quote."""

    @extend_schema(operation_id="quotes_read", tags=TAGS, responses={200: serializers.QuoteOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return a quote."""
        return Response(serializers.QuoteOut(one_of(selector.quoted(), pk)).data)


class ManualPriceList(Idempotent, PricesList):
    """Prices by hand, and a new one."""

    serializer_class = serializers.ManualPriceOut
    filterset_class = filters.ManualPrices
    queryset = ManualPrice.objects.none()

    def rows(self) -> QuerySet[Any]:
        """Return every price that somebody gave."""
        return selector.manual_prices()

    @extend_schema(
        operation_id="manual_prices_list", tags=TAGS, responses={200: serializers.ManualPriceOut(many=True)}
    )
    def get(self, request: Request) -> Response:
        """List prices that people gave, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="manual_prices_give",
        tags=TAGS,
        request=serializers.ManualPriceGiven,
        responses={201: serializers.ManualPriceOut},
    )
    def post(self, request: Request) -> Response:
        """Say what a bitcoin costs now; it counts once another treasurer has confirmed it."""
        made = act(request, service.give, serializers.ManualPriceGiven)
        return _manual_price(made.pk, status.HTTP_201_CREATED)


class ManualPriceRead(OfPrices):
    """One price by hand."""

    @extend_schema(operation_id="manual_prices_read", tags=TAGS, responses={200: serializers.ManualPriceOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return a price that somebody gave."""
        return Response(serializers.ManualPriceOut(one_of(selector.manual_prices(), pk)).data)


class ManualPriceConfirm(Idempotent, OfPrices):
    """A second person stands for it."""

    @extend_schema(
        operation_id="manual_prices_confirm",
        tags=TAGS,
        request=serializers.PriceSeen,
        responses={200: serializers.ManualPriceOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Confirm, as another treasurer, the price that somebody gave, by naming it."""
        act(request, service.confirm, serializers.PriceSeen, manual_price_id=pk)
        return _manual_price(pk)


class ManualPriceWithdraw(Idempotent, OfPrices):
    """It counts no more."""

    @extend_schema(
        operation_id="manual_prices_withdraw",
        tags=TAGS,
        request=serializers.PriceReason,
        responses={200: serializers.ManualPriceOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Let a price that somebody gave count no more, confirmed or not; one treasurer is enough."""
        act(request, service.withdraw, serializers.PriceReason, manual_price_id=pk)
        return _manual_price(pk)


class BreakerList(PricesList):
    """Every jump that there was."""

    serializer_class = serializers.BreakerOut
    filterset_class = filters.Breakers
    queryset = PriceBreaker.objects.none()

    def rows(self) -> QuerySet[Any]:
        """Return every breaker."""
        return selector.breakers()

    @extend_schema(
        operation_id="price_breakers_list", tags=TAGS, responses={200: serializers.BreakerOut(many=True)}
    )
    def get(self, request: Request) -> Response:
        """List breakers, newest first."""
        return self.page(request)


class BreakerRead(OfPrices):
    """One jump."""

    @extend_schema(operation_id="price_breakers_read", tags=TAGS, responses={200: serializers.BreakerOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return a breaker."""
        return Response(serializers.BreakerOut(one_of(selector.breakers(), pk)).data)


class BreakerClose(Idempotent, OfPrices):
    """One person asks."""

    @extend_schema(
        operation_id="price_breakers_close",
        tags=TAGS,
        request=serializers.CloseAsked,
        responses={200: serializers.BreakerOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Ask for an open breaker to be closed, at the price that is right; another treasurer confirms it."""
        act(request, service.ask_to_close, serializers.CloseAsked, breaker_id=pk)
        return _breaker(pk)


class BreakerConfirm(Idempotent, OfPrices):
    """Another confirms."""

    @extend_schema(
        operation_id="price_breakers_confirm",
        tags=TAGS,
        request=serializers.PriceSeen,
        responses={200: serializers.BreakerOut},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Close a breaker, as another treasurer, by naming the price at which somebody asked to close it."""
        act(request, service.close, serializers.PriceSeen, breaker_id=pk)
        return _breaker(pk)
