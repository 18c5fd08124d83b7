"""Webhooks: propose where they lead, give them secrets, pause, resume, ping and replay them, and look what was sent."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.serializers import Nothing
from payments.api import filters
from payments.api.serializers import webhook as serializers
from payments.api.serializers.proposal import ProposalOut
from payments.api.views.scoped import Scoped, ScopedList, act
from payments.models import Webhook, WebhookDelivery
from payments.selectors import proposals as proposal_selector
from payments.selectors import scope
from payments.selectors import webhooks as selector
from payments.services import proposals
from payments.services import webhooks as service

ONE = {200: serializers.WebhookOut}
TAGS = ["webhooks"]


def _render(request: Request, webhook_id: int) -> Response:
    row = selector.visible(request.user).get(pk=webhook_id)
    return Response(serializers.WebhookOut(row).data)


class ProposeWebhook(Idempotent, Scoped):
    """Asks for a webhook, or for another address of one."""

    scope = staticmethod(scope.require_authority)

    @extend_schema(
        operation_id="programs_propose_webhook",
        tags=["proposals"],
        request=serializers.WebhookProposal,
        responses={201: ProposalOut},
    )
    def post(self, request: Request, program_id: int) -> Response:
        """Ask for a webhook, or another address or other event types of one; another security administrator confirms it."""
        body = serializers.WebhookProposal(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        made = proposals.propose_webhook(by=by, program_id=program_id, **body.validated_data)
        row = proposal_selector.visible(by).get(pk=made.pk)
        return Response(ProposalOut(row).data, status.HTTP_201_CREATED)


class WebhookList(ScopedList):
    """The webhooks of a program."""

    serializer_class = serializers.WebhookOut
    queryset = Webhook.objects.none()
    scope = staticmethod(scope.require_authority)

    def get_queryset(self) -> QuerySet[Any]:
        """Return those of the program in the address."""
        return selector.visible(self.request.user).filter(program_id=self.kwargs["program_id"])

    @extend_schema(
        operation_id="webhooks_list", tags=TAGS, responses={200: serializers.WebhookOut(many=True)}
    )
    def get(self, request: Request, program_id: int) -> Response:
        """List webhooks, newest first, ended ones too."""
        return self.page(request)


class WebhookRead(Scoped):
    """One webhook."""

    scope = staticmethod(scope.require_authority)

    @extend_schema(operation_id="webhooks_read", tags=TAGS, responses=ONE)
    def get(self, request: Request, webhook_id: int) -> Response:
        """Return a webhook with its secrets' times, and how many messages wait."""
        return _render(request, webhook_id)


class WebhookSecrets(Scoped):
    """The secret that signs. No Idempotency-Key: its answer is kept nowhere."""

    scope = staticmethod(scope.require_authority)

    @extend_schema(
        operation_id="webhooks_rotate",
        tags=TAGS,
        request=serializers.NewSecret,
        responses={201: serializers.SecretMade},
    )
    def post(self, request: Request, webhook_id: int) -> Response:
        """Make a new secret, which is in this answer and nowhere else; the one before signs beside it for a while."""
        made, text = act(request, service.rotate, serializers.NewSecret, webhook_id=webhook_id)
        shown = serializers.SecretOut(made).data | {"secret": text}
        return Response(shown, status.HTTP_201_CREATED)


class WebhookPause(Idempotent, Scoped):
    """Silence for now."""

    scope = staticmethod(scope.require_authority)

    @extend_schema(operation_id="webhooks_pause", tags=TAGS, request=serializers.WebhookNote, responses=ONE)
    def post(self, request: Request, webhook_id: int) -> Response:
        """Send nothing for now; what happens meanwhile is sent when it goes on."""
        act(request, service.pause, serializers.WebhookNote, webhook_id=webhook_id)
        return _render(request, webhook_id)


class WebhookResume(Idempotent, Scoped):
    """Going on."""

    scope = staticmethod(scope.require_authority)

    @extend_schema(operation_id="webhooks_resume", tags=TAGS, request=serializers.WebhookNote, responses=ONE)
    def post(self, request: Request, webhook_id: int) -> Response:
        """Let a paused webhook go on from where it stopped; its alarm is closed."""
        act(request, service.resume, serializers.WebhookNote, webhook_id=webhook_id)
        return _render(request, webhook_id)


class WebhookEnd(Idempotent, Scoped):
    """The end."""

    scope = staticmethod(scope.require_authority)

    @extend_schema(operation_id="webhooks_end", tags=TAGS, request=serializers.WebhookNote, responses=ONE)
    def post(self, request: Request, webhook_id: int) -> Response:
        """End a webhook for good; what waits is never sent."""
        act(request, service.end, serializers.WebhookNote, webhook_id=webhook_id)
        return _render(request, webhook_id)


class WebhookPing(Idempotent, Scoped):
    """A message about nothing."""

    scope = staticmethod(scope.require_authority)

    @extend_schema(
        operation_id="webhooks_ping",
        tags=TAGS,
        request=Nothing,
        responses={202: serializers.DeliveryOut},
    )
    def post(self, request: Request, webhook_id: int) -> Response:
        """Send a message of the type ``ping``, once, also while it is paused; its delivery says what came back."""
        body = Nothing(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        made = service.ping(by=by, webhook_id=webhook_id)
        row = selector.deliveries(webhook_id).get(pk=made.pk)
        return Response(serializers.DeliveryOut(row).data, status.HTTP_202_ACCEPTED)


class WebhookReplay(Idempotent, Scoped):
    """Messages once more."""

    scope = staticmethod(scope.require_authority)

    @extend_schema(
        operation_id="webhooks_replay",
        tags=TAGS,
        request=serializers.Replay,
        responses={202: serializers.Replayed},
    )
    def post(self, request: Request, webhook_id: int) -> Response:
        """Send the events of a span of numbers once more, under the ids that they had; one number twice is one event."""
        count = act(request, service.replay, serializers.Replay, webhook_id=webhook_id)
        return Response(serializers.Replayed({"count": count}).data, status.HTTP_202_ACCEPTED)


class WebhookDeliveries(ScopedList):
    """What was sent, and what waits."""

    serializer_class = serializers.DeliveryOut
    filterset_class = filters.Deliveries
    queryset = WebhookDelivery.objects.none()
    scope = staticmethod(scope.require_authority)

    def get_queryset(self) -> QuerySet[Any]:
        """Return those of the webhook in the address."""
        return selector.deliveries(self.kwargs["webhook_id"])

    @extend_schema(
        operation_id="webhooks_deliveries", tags=TAGS, responses={200: serializers.DeliveryOut(many=True)}
    )
    def get(self, request: Request, webhook_id: int) -> Response:
        """List messages, newest first, with how often each was tried and what came back."""
        return self.page(request)
