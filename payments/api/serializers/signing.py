"""Signing requests, and what signers return."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text
from payments.api.serializers.fields import Username
from payments.models import PayoutTxKind
from payments.models.signing import RequestState
from payments.onchain import returned
from payments.states import PayoutStatus

_PSBT_HELP = "A PSBT in base64 or hexadecimal, finalized or not; or the signed tx in hexadecimal."


class SigningRequestOut(serializers.Serializer[Any]):
    """A version of a payout that signers elsewhere are to sign; ``needed`` of them must."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    payout_id = serializers.IntegerField()
    payout_status = serializers.ChoiceField(choices=PayoutStatus.choices)
    disbursement_id = serializers.IntegerField(allow_null=True)
    kind = serializers.ChoiceField(choices=PayoutTxKind.choices)
    txid = serializers.CharField()
    payments_sat = serializers.IntegerField()
    fee_sat = serializers.IntegerField()
    feerate_sat_kvb = serializers.IntegerField()
    state = serializers.ChoiceField(choices=RequestState.choices)
    needed = serializers.IntegerField()
    signed = serializers.IntegerField()
    deadline_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField(allow_null=True)


class SignerOut(serializers.Serializer[Any]):
    """One signer, by the fingerprint of the master key; who brought the signature, and when."""

    fingerprint = serializers.CharField()
    is_signed = serializers.BooleanField()
    signed_at = serializers.DateTimeField(allow_null=True)
    uploaded_by = Username(allow_null=True)


class SigningRequestDetail(SigningRequestOut):
    """A signing request with its wallet's descriptor, and its progress by signer."""

    wallet = serializers.CharField()
    descriptor = serializers.CharField()
    signers = SignerOut(many=True)


class PsbtOut(serializers.Serializer[Any]):
    """A PSBT in base64."""

    psbt = serializers.CharField()


class Signatures(StrictSerializer):
    """What a signer returned, as text."""

    psbt = Text(max_length=returned.MAX_BYTES, allow_blank=True, help_text=_PSBT_HELP)


class SignaturesFile(StrictSerializer):
    """What a signer returned, as a file: binary, or the same texts."""

    file = serializers.FileField(allow_empty_file=True, max_length=255)


class SignaturesOut(SigningRequestDetail):
    """The request after an upload, and whose signatures it brought: new ones, and those known before."""

    added = serializers.ListField(child=serializers.CharField())
    repeated = serializers.ListField(child=serializers.CharField())
