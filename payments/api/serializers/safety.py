"""The stop switch and alarms."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text
from payments.api.serializers.fields import Username


class StopReason(StrictSerializer):
    """Why the engine is stopped, or may go on."""

    reason = Text(max_length=300)


class StopOut(serializers.Serializer[Any]):
    """A stop: who threw it and why, and who lifted it."""

    id = serializers.IntegerField()
    is_open = serializers.BooleanField()
    reason = serializers.CharField()
    thrown_by = Username()
    thrown_at = serializers.DateTimeField()
    lifted_by = Username(allow_null=True)
    lifted_at = serializers.DateTimeField(allow_null=True)
    lift_reason = serializers.CharField()


class AlarmNote(StrictSerializer):
    """What was found."""

    note = Text(max_length=300)


class AlarmOut(serializers.Serializer[Any]):
    """Something that a person must look at: its cause, the row it is about, how often it was seen, whose it is."""

    id = serializers.IntegerField()
    code = serializers.CharField()
    subject = serializers.CharField()
    subject_id = serializers.IntegerField()
    program_id = serializers.IntegerField(allow_null=True)
    message = serializers.CharField()
    opened_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()
    times = serializers.IntegerField()
    owner = Username(allow_null=True)
    owned_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    closed_by = Username(allow_null=True)
    close_note = serializers.CharField()
