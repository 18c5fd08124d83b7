"""What people agreed to, and what of them is to be erased."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text
from payments.api.serializers.fields import Username
from payments.models import ErasureOutcome
from payments.services import consents


class NewConsentText(StrictSerializer):
    """A version of the text; it never changes."""

    version = Text(max_length=consents.MAX_VERSION)
    text = Text(max_length=consents.MAX_TEXT)


class ConsentTextOut(serializers.Serializer[Any]):
    """A version of the text."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    version = serializers.CharField()
    text = serializers.CharField()
    created_by = Username()
    created_at = serializers.DateTimeField()


class NewConsent(StrictSerializer):
    """What a person said to a version of the text."""

    version = Text(max_length=consents.MAX_VERSION)
    is_given = serializers.BooleanField()
    note = Text(
        required=False, allow_blank=True, max_length=consents.MAX_NOTE, help_text="How it was said; no names."
    )
    said_date = serializers.DateField(required=False, allow_null=True, help_text="The day on the form.")


class ConsentOut(serializers.Serializer[Any]):
    """One word of a person; of a program's the newest counts."""

    id = serializers.IntegerField()
    version = serializers.CharField(source="text.version")
    is_given = serializers.BooleanField()
    note = serializers.CharField()
    said_date = serializers.DateField(allow_null=True, help_text="The day on the form, if there was one.")
    recorded_by = Username()
    recorded_at = serializers.DateTimeField()


class ErasureOut(serializers.Serializer[Any]):
    """An erasure; once it is done, the person has no reference any more."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    beneficiary_id = serializers.IntegerField()
    reference = serializers.CharField(allow_null=True)
    note = serializers.CharField()
    outcome = serializers.ChoiceField(choices=ErasureOutcome.choices)
    asked_by = Username()
    asked_at = serializers.DateTimeField()
    decided_by = Username(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    decision_note = serializers.CharField()
