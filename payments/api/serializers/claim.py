"""Claims: what people without an address are entitled to, and the links by which they claim it."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import StrictSerializer
from payments.models import Channel
from payments.states import EntitlementStatus


class EntitlementOut(serializers.Serializer[Any]):
    """A line of a released list whose person had no address; ``paid_by_id`` is the line of a later list that pays it."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    disbursement_id = serializers.IntegerField()
    payment_id = serializers.IntegerField()
    enrollment_id = serializers.IntegerField(allow_null=True)
    reference = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField(allow_null=True)
    amount_sat = serializers.IntegerField(allow_null=True)
    status = serializers.ChoiceField(choices=EntitlementStatus.choices)
    has_link = serializers.BooleanField()
    has_address = serializers.BooleanField()
    paid_by_id = serializers.IntegerField(allow_null=True)
    paid_by_list_id = serializers.IntegerField(allow_null=True)
    opened_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class LinksSent(serializers.Serializer[Any]):
    """How many people get a link."""

    count = serializers.IntegerField()


class SendLinks(StrictSerializer):
    """How links go to everybody on a list who waits for one."""

    channel = serializers.ChoiceField(choices=[(Channel.SMS.value, Channel.SMS.label)])
