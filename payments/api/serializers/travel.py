"""The travel rule: who pays, and which payments it counted; never who is paid."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import Hash, StrictSerializer, Text
from payments.api.serializers.fields import NOTE_HELP
from payments.services import proposals


class OriginatorProposal(StrictSerializer):
    """Who pays in a program: a legal entity identifier, or an address and its town, or both."""

    legal_name = Text(max_length=100)
    lei = Text(required=False, max_length=20, allow_blank=True, default="", help_text="ISO 17442.")
    address_line = Text(required=False, max_length=70, allow_blank=True, default="")
    town = Text(required=False, max_length=35, allow_blank=True, default="")
    country = Text(max_length=2, help_text="Where it is registered, by ISO 3166-1 in two capitals.")
    note = Text(max_length=proposals.MAX_NOTE, help_text=NOTE_HELP)


class TravelRecordOut(serializers.Serializer[Any]):
    """A payment that the travel rule counted, and what was kept; amounts are in the program's own unit."""

    id = serializers.IntegerField()
    payment_id = serializers.IntegerField()
    line = serializers.IntegerField(source="payment.line")
    profile = serializers.CharField()
    law = serializers.CharField()
    threshold_currency = serializers.CharField(source="currency")
    threshold_minor = serializers.IntegerField()
    quote_id = serializers.IntegerField(allow_null=True)
    least = serializers.IntegerField(help_text="From how much on a payload is made.")
    counted = serializers.IntegerField(help_text="What the person gets within the days of the rule.")
    counted_with = serializers.ListField(child=serializers.IntegerField(), source="linked")
    originator = serializers.CharField(source="originator.legal_name")
    vasp = serializers.CharField(
        help_text="Who keeps the address; empty where that is the person's own wallet."
    )
    missing = serializers.CharField(help_text="What is not known; the payment is held for it.")
    sha256 = Hash(allow_null=True)
    made_at = serializers.DateTimeField()
    keep_until = serializers.DateTimeField()
    forgotten_at = serializers.DateTimeField(allow_null=True)
