"""Exclusion lists, whom they exclude, and appeals."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text
from payments.api.serializers.fields import Username
from payments.models import AppealOutcome
from payments.selectors import exclusions as selector
from payments.services import appeals, exclusions


class NewExclusionList(StrictSerializer):
    """A list: why, on whose word, and for how long; the first and the last day count."""

    name = Text(max_length=exclusions.MAX_NAME)
    reason = Text(max_length=exclusions.MAX_TEXT)
    source = Text(max_length=exclusions.MAX_TEXT)  # type: ignore[assignment]
    valid_from = serializers.DateField()
    valid_to = serializers.DateField(required=False, allow_null=True)


class ExclusionListOut(serializers.Serializer[Any]):
    """A list; one of all programs has no ``program_id``."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField(allow_null=True)
    name = serializers.CharField()
    reason = serializers.CharField()
    list_source = serializers.CharField(source="source")
    valid_from = serializers.DateField()
    valid_to = serializers.DateField(allow_null=True)
    created_by = Username()
    created_at = serializers.DateTimeField()


class ExclusionFile(StrictSerializer):
    """A CSV file with the column national_id."""

    file = serializers.FileField(allow_empty_file=True)


class LoadedOut(serializers.Serializer[Any]):
    """How many rows were read, and how many entries are new."""

    rows = serializers.IntegerField()
    added = serializers.IntegerField()


class ExclusionOut(serializers.Serializer[Any]):
    """An entry that excludes somebody who is enrolled."""

    id = serializers.IntegerField()
    enrollment_id = serializers.IntegerField()
    reference = serializers.CharField()
    exclusion_list_id = serializers.IntegerField()
    list_name = serializers.CharField()
    reason = serializers.CharField()
    has_open_appeal = serializers.BooleanField()


class NewAppeal(StrictSerializer):
    """What somebody says against an entry."""

    exclusion_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    lodged_by = Text(max_length=appeals.MAX_NAME, help_text="The person, or who speaks for them.")
    text = Text(max_length=appeals.MAX_TEXT)


class AppealOut(serializers.Serializer[Any]):
    """An appeal and its decision; the words are null to those who neither decide, enroll nor audit."""

    of_request = True

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    reference = serializers.CharField(allow_null=True)
    exclusion_id = serializers.IntegerField()
    list_name = serializers.CharField(source="exclusion.exclusion_list.name")
    lodged_by = serializers.SerializerMethodField()
    text = serializers.SerializerMethodField()
    recorded_by = Username()
    lodged_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    outcome = serializers.ChoiceField(choices=AppealOutcome.choices)
    decided_by = Username(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    decision_note = serializers.CharField()

    @extend_schema_field({"type": ["string", "null"]})
    def get_lodged_by(self, appeal: Any) -> str | None:
        """Return who spoke, if the caller may read it."""
        return self._words(appeal, "lodged_by")

    @extend_schema_field({"type": ["string", "null"]})
    def get_text(self, appeal: Any) -> str | None:
        """Return what was said, if the caller may read it."""
        return self._words(appeal, "text")

    def _words(self, appeal: Any, name: str) -> str | None:
        known = self.context.setdefault("may_read", {})
        if appeal.program_id not in known:
            user = self.context["request"].user
            known[appeal.program_id] = selector.may_read_words(user, appeal.program_id)
        return appeal.words[name] if known[appeal.program_id] else None
