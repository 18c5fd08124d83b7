"""Webhooks: where they lead, what they are told, and what became of each message."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text, Whole
from payments.api.serializers.fields import NOTE_HELP, Username
from payments.models import PauseReason, WebhookDelivery
from payments.selectors import webhooks as selector
from payments.services import proposals, webhooks

STATES = [(name, name) for name in ("active", "failing", "paused", "ended")]
STATUSES = [(name, name) for name in ("waiting", "delivered", "failed")]
TYPES = [(name, name) for name in webhooks.EVENT_TYPES]
MAX_NUMBER = 2**63 - 1


class WebhookProposal(StrictSerializer):
    """Where a webhook should lead and what it should be told; of one that there is, what is left out stays."""

    webhook_id = Whole(
        required=False, min_value=1, max_value=MAX_NUMBER, help_text="Without it, it is a new one."
    )
    url = Text(
        required=False,
        max_length=webhooks.MAX_URL,
        help_text="https, at a public address. It is shown to members of the program: put no secret into it.",
    )
    event_types = serializers.ListField(
        child=serializers.ChoiceField(choices=TYPES),
        required=False,
        max_length=len(TYPES),
        help_text="Empty: every event.",
    )
    note = Text(max_length=proposals.MAX_NOTE, help_text=NOTE_HELP)


class WebhookNote(StrictSerializer):
    """Why, if there is anything to say."""

    note = Text(
        max_length=proposals.MAX_NOTE, required=False, allow_blank=True, help_text="Kept in the audit events."
    )


class NewSecret(StrictSerializer):
    """How long the secret before signs beside the new one."""

    overlap_hours = Whole(
        required=False, min_value=0, max_value=webhooks.MOST_OVERLAP_HOURS, help_text="24 unless given."
    )


class Replay(WebhookNote):
    """Which events are sent once more, by their numbers."""

    first_number = Whole(min_value=1, max_value=MAX_NUMBER)
    last_number = Whole(min_value=1, max_value=MAX_NUMBER)


class SecretOut(serializers.Serializer[Any]):
    """A secret, without what is secret of it."""

    id = serializers.IntegerField()
    made_by = Username()
    made_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(allow_null=True)


class SecretMade(SecretOut):
    """A new secret, shown this once: ``whsec_`` and base64, as libraries of Standard Webhooks take it."""

    secret = serializers.CharField()


class WebhookOut(serializers.Serializer[Any]):
    """A webhook. Events up to ``seen_number`` were told or wait; until it has a secret it is told nothing."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    proposal_id = serializers.IntegerField(help_text="The last one that it was set by.")
    url = serializers.CharField()
    event_types = serializers.ListField(child=serializers.ChoiceField(choices=TYPES))
    state = serializers.ChoiceField(choices=STATES)
    pause_reason = serializers.ChoiceField(choices=PauseReason.choices, allow_blank=True)
    seen_number = serializers.IntegerField()
    waiting_count = serializers.IntegerField()
    failures = serializers.IntegerField(help_text="Attempts since the last message that was taken.")
    failing_since = serializers.DateTimeField(allow_null=True)
    made_at = serializers.DateTimeField()
    paused_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    secrets = SecretOut(many=True)


class DeliveryOut(serializers.Serializer[Any]):
    """A message: what it tells, how often it was tried, and the status that came back. Nothing else of an answer is kept."""

    id = serializers.IntegerField()
    message_id = serializers.SerializerMethodField(help_text="The webhook-id; the same whenever it is sent.")
    type = serializers.SerializerMethodField()
    number = serializers.IntegerField(allow_null=True, help_text="Of the event; a ping has none.")
    status = serializers.ChoiceField(choices=STATUSES)
    attempts = serializers.IntegerField()
    replays = serializers.IntegerField()
    made_at = serializers.DateTimeField()
    attempted_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    response_status = serializers.IntegerField(allow_null=True)
    error = serializers.CharField()

    def get_message_id(self, row: WebhookDelivery) -> str:
        """Return the id that the receiver knows."""
        return selector.message_id(row)

    def get_type(self, row: WebhookDelivery) -> str:
        """Return what happened."""
        return selector.type_of(row)


class Replayed(serializers.Serializer[Any]):
    """How many messages wait to be sent because of it."""

    count = serializers.IntegerField()
