"""Interventions: what a person asks of the engine, with the figures that everybody looks at."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text
from govpay.errors import InvalidInput
from payments.api.serializers.fields import NOTE_HELP, Username
from payments.models import InterventionKind
from payments.onchain import fee
from payments.payout import feerate
from payments.services.interventions import MAX_NOTE
from payments.states import InterventionStatus

OF_PAYOUT = [choice for choice in InterventionKind.choices if choice[0] != InterventionKind.UNHALT]


@extend_schema_field(
    {
        "type": "string",
        "pattern": r"^(0|[1-9][0-9]{0,6})(\.[0-9]{1,3})?$",
        "example": "12.5",
        "nullable": True,
    }
)
class FeerateSatVb(serializers.Field[Any, Any, Any, Any]):
    """A fee rate in sat/vB as text or a whole number, with at most three digits after the point; sat/kvB inside."""

    default_error_messages = {"invalid": "Give a fee rate in sat/vB, such as 12 or 12.5, as text."}

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, int) and not isinstance(data, bool):
            data = str(data)
        if isinstance(data, Decimal):
            data = f"{data:f}"
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            return feerate.parse_sat_vb(data)
        except InvalidInput as error:
            raise serializers.ValidationError(error.message, code="feerate_invalid") from error

    def to_representation(self, value: int) -> str:
        return f"{fee.sat_vb(value):f}"


class Look(StrictSerializer):
    """What would be built: its kind, and for what pays a fee the rate; a void without one takes the network's."""

    kind = serializers.ChoiceField(choices=OF_PAYOUT)
    feerate_sat_vb = FeerateSatVb(required=False)
    over_pending = serializers.BooleanField(
        default=False, help_text="Of a bump: replace a version that signers elsewhere have not signed yet."
    )


class Proposal(Look):
    """A request, with the reason."""

    note = Text(max_length=MAX_NOTE, help_text=NOTE_HELP)


class UnhaltProposal(StrictSerializer):
    """A request to let a halted wallet pay again."""

    note = Text(max_length=MAX_NOTE, help_text=NOTE_HELP)


class Consent(StrictSerializer):
    """What a second person says when agreeing, if anything."""

    note = Text(max_length=MAX_NOTE, required=False, allow_blank=True, help_text=NOTE_HELP)


class AddedInput(serializers.Serializer[Any]):
    """A coin that would be added."""

    txid = serializers.CharField()
    vout = serializers.IntegerField()
    amount_sat = serializers.IntegerField()


class PreviewOut(serializers.Serializer[Any]):
    """The figures: fees in satoshis, rates in satoshis per 1,000 vB.

    Of a child they are those of parent and child together. Only a lifted halt has ``halt_…``, only a thaw
    ``status_after``; neither has figures.
    """

    needs_second = serializers.BooleanField(required=False)
    feerate_sat_kvb = serializers.IntegerField(allow_null=True, required=False)
    old_txid = serializers.CharField(required=False)
    old_fee_sat = serializers.IntegerField(required=False)
    old_vsize_vb = serializers.IntegerField(required=False)
    old_feerate_sat_kvb = serializers.IntegerField(required=False)
    old_change_sat = serializers.IntegerField(required=False)
    new_fee_sat = serializers.IntegerField(required=False)
    new_vsize_vb = serializers.IntegerField(required=False)
    new_feerate_sat_kvb = serializers.IntegerField(required=False)
    new_change_sat = serializers.IntegerField(required=False)
    fee_added_sat = serializers.IntegerField(required=False)
    added_inputs = AddedInput(many=True, required=False)
    spent_inputs = serializers.ListField(child=serializers.CharField(), required=False)
    child_id = serializers.IntegerField(allow_null=True, required=False)
    evicted_fee_sat = serializers.IntegerField(required=False)
    over_pending = serializers.BooleanField(required=False)
    problem = serializers.CharField(required=False)
    status_after = serializers.CharField(required=False)
    halt_code = serializers.CharField(required=False)
    halt_reason = serializers.CharField(required=False)
    halted_at = serializers.DateTimeField(required=False)


class InterventionOut(serializers.Serializer[Any]):
    """A request and what became of it; ``outcome`` tells of a void whether it won."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=InterventionKind.choices)
    status = serializers.ChoiceField(choices=InterventionStatus.choices)
    program_id = serializers.IntegerField()
    payout_id = serializers.IntegerField(allow_null=True)
    feerate_sat_kvb = serializers.IntegerField(allow_null=True)
    preview = PreviewOut()
    needs_second = serializers.BooleanField()
    waits_for_me = serializers.BooleanField()
    note = serializers.CharField()
    proposed_by = Username()
    proposed_at = serializers.DateTimeField()
    decided_by = Username(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    txid = serializers.CharField(allow_null=True)
    failure = serializers.CharField()
    outcome = serializers.CharField()
