"""Challenges to whoever controls an address, and the signatures that answer them."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import Hex, StrictSerializer, Text
from payments.api.serializers.fields import Address, Username
from payments.onchain import message


class NewChallenge(StrictSerializer):
    """The address that is to sign."""

    address = Text(allow_blank=True)


class Signature(StrictSerializer):
    """What the wallet returned for the challenge, letter by letter."""

    signature = Text(max_length=message.MAX_TEXT, help_text="Base64: BIP-322 simple, or a signed message.")


class AddressProofOut(serializers.Serializer[Any]):
    """A challenge; once it is answered, the form of the signature (``bip322`` or ``legacy``) and when it came."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    enrollment_id = serializers.IntegerField(allow_null=True)
    reference = serializers.CharField(allow_null=True)
    address = Address(source="script_pubkey")
    script_pubkey = Hex()
    challenge = serializers.CharField()
    asked_by = Username()
    asked_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    signature = serializers.CharField()
    form = serializers.CharField()
    recorded_by = Username(allow_null=True)
    proved_at = serializers.DateTimeField(allow_null=True)
