"""Policy profiles and what they say."""

from typing import Any

from rest_framework import serializers

from ledger.law.policy import Rule, Ruling


class SpanOut(serializers.Serializer[Any]):
    """The days of something, which begin at 00:00 UTC."""

    effective_from = serializers.DateField(source="span.first")
    effective_before = serializers.DateField(source="span.end", allow_null=True)


class ThresholdOut(serializers.Serializer[Any]):
    """From how much on a transfer needs information about who pays whom; kept for ``keep_days`` after it."""

    currency = serializers.CharField()
    from_minor = serializers.IntegerField()
    linked_days = serializers.IntegerField(help_text="What a person got within these days is one transfer.")
    keep_days = serializers.IntegerField()


class ProvisionOut(SpanOut):
    """What a profile says of a rule on some days."""

    rule = serializers.ChoiceField(choices=[(rule.value, rule.value) for rule in Rule])
    ruling = serializers.ChoiceField(choices=[(ruling.value, ruling.value) for ruling in Ruling])
    text = serializers.CharField()
    law = serializers.CharField(help_text="Where it is written; empty where it is not determined.")
    source = serializers.CharField(help_text="Where that can be read.")  # type: ignore[assignment]
    ceiling_sat = serializers.IntegerField(allow_null=True)
    licensed_by = serializers.CharField()
    threshold = ThresholdOut(allow_null=True)


class ProfileOut(SpanOut):
    """A rule set."""

    name = serializers.CharField()
    title = serializers.CharField()
    successor = serializers.CharField(help_text="The profile that took its place; empty where none did.")
    rules = ProvisionOut(source="provisions", many=True)
