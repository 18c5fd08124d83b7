"""Why payments wait, and changes of address between two people."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api.serializers import Hex, StrictSerializer, Text
from payments.api.serializers.fields import NOTE_HELP, Address, Username
from payments.models import ChangeOutcome
from payments.selectors import holds


class HoldOut(serializers.Serializer[Any]):
    """One reason why a payment is or was held; a rule has no ``placed_by``, and what ended by itself no ``ended_by``."""

    id = serializers.IntegerField()
    payment_id = serializers.IntegerField()
    rule = serializers.CharField()
    meaning = serializers.CharField(source="label")
    subject_id = serializers.IntegerField()
    note = serializers.CharField()
    placed_by = Username(allow_null=True)
    placed_at = serializers.DateTimeField()
    ended_by = Username(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class NewDestination(StrictSerializer):
    """Where a person wants to be paid, and why."""

    address = Text(allow_blank=True)
    note = Text(max_length=300, allow_blank=True, help_text=NOTE_HELP)


class Decision(StrictSerializer):
    """A reason in a few words."""

    note = Text(max_length=300, allow_blank=True, help_text=NOTE_HELP)


class DestinationChangeOut(serializers.Serializer[Any]):
    """A proposed change of address; the person is paid at the old one until somebody else has confirmed."""

    of_request = True

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    enrollment_id = serializers.IntegerField(allow_null=True)
    reference = serializers.CharField(allow_null=True)
    address = Address(source="script_pubkey")
    script_pubkey = Hex()
    note = serializers.CharField()
    outcome = serializers.ChoiceField(choices=ChangeOutcome.choices)
    proposed_by = Username()
    proposed_at = serializers.DateTimeField()
    decided_by = Username(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    decision_note = serializers.CharField()
    destination_id = serializers.IntegerField(allow_null=True)
    waits_for_me = serializers.SerializerMethodField()

    @extend_schema_field({"type": "boolean"})
    def get_waits_for_me(self, change: Any) -> bool:
        """Say whether the caller may decide it."""
        return holds.waits_for(change, self.context["request"].user)
