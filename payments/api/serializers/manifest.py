"""Approvers' keys, and what they signed of a list's manifest."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api.serializers import Hash, Hex, StrictSerializer
from payments.api.serializers.fields import Username


@extend_schema_field({"type": "string", "pattern": "^[0-9a-f]{128}$"})
class SignatureHex(serializers.Field[Any, Any, str, Any]):
    """An Ed25519 signature: 64 bytes as 128 hex digits."""

    default_error_messages = {"invalid": "Give 128 hex digits."}

    def to_internal_value(self, data: Any) -> bytes:
        if not isinstance(data, str) or len(data) != 128 or set(data) - set("0123456789abcdefABCDEF"):
            self.fail("invalid")
        return bytes.fromhex(data)

    def to_representation(self, value: Any) -> str:
        return bytes(value).hex()


class Registration(StrictSerializer):
    """A public key and its signature over the user's name, as ``approver new`` prints them."""

    public_key = Hash()
    proof = SignatureHex()


class ApproverKeyOut(serializers.Serializer[Any]):
    """One of the user's own keys."""

    id = serializers.IntegerField()
    public_key = Hex()
    created_at = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(allow_null=True)


class ManifestSigned(StrictSerializer):
    """What the approver's key signed, as ``approve`` writes it."""

    manifest_sha256 = Hash()
    public_key = Hash()
    signature = SignatureHex()


class ManifestSignatureOut(serializers.Serializer[Any]):
    """An approver's signature over the manifest of a list."""

    id = serializers.IntegerField()
    approver = Username(source="key.user")
    public_key = Hex(source="key.public_key")
    manifest_sha256 = Hex()
    signature = Hex()
    created_at = serializers.DateTimeField()
