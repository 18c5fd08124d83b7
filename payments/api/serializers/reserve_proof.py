"""Proofs of reserves: asked with a message, answered with signatures."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text
from payments.api.serializers.fields import Username
from payments.models.reserve_proof import MAX_MESSAGE
from payments.onchain.returned import MAX_BYTES

STATES = [(name, name) for name in ("asked", "proved")]


class ProofAsked(StrictSerializer):
    """Whose reserves, and what is to be signed."""

    scope = Text(max_length=40, help_text="The institution in the books, such as reserve:1.")
    message = Text(max_length=MAX_MESSAGE, help_text="What nobody could foresee; it is asked once.")


class ProofAnswered(StrictSerializer):
    """What the holders of the keys returned."""

    signed = Text(
        max_length=2 * MAX_BYTES,
        help_text="The PSBT with all signatures, in base64 or hexadecimal, or the signed tx in hexadecimal.",
    )


class ProofOut(serializers.Serializer[Any]):
    """A proof that was asked for, and at which block it was found to be whole."""

    id = serializers.IntegerField()
    scope = serializers.CharField()
    message = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES)
    height = serializers.IntegerField(source="scan.height")
    block_hash = serializers.CharField(source="scan.block_hash")
    output_count = serializers.IntegerField()
    amount_sat = serializers.IntegerField()
    asked_by = Username()
    asked_at = serializers.DateTimeField()
    answered_by = Username(allow_null=True)
    proved_at = serializers.DateTimeField(allow_null=True)
    proved_height = serializers.IntegerField(allow_null=True)
    proved_hash = serializers.CharField()


class ProvenOutput(serializers.Serializer[Any]):
    """An output that is proved."""

    txid = serializers.CharField()
    vout = serializers.IntegerField()
    address = serializers.CharField()
    amount_sat = serializers.IntegerField()


class ProofFileOut(serializers.Serializer[Any]):
    """The file that verify_reserves checks; ``tx`` is empty until it was given, ``psbt`` is what is signed."""

    format = serializers.CharField()
    network = serializers.CharField()
    scope = serializers.CharField()
    message = serializers.CharField()
    block_hash = serializers.CharField()
    height = serializers.IntegerField()
    amount_sat = serializers.IntegerField()
    outputs = ProvenOutput(many=True)
    tx = serializers.CharField()
    psbt = serializers.CharField()
