"""Grievances: what people complain of, and what is answered."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text, Whole
from payments.api.serializers.fields import Satoshi, Username
from payments.models import Finding, Grievance, GrievanceCategory
from payments.selectors import grievances as selector
from payments.services import grievance_words
from payments.states import GrievanceStatus


class NewGrievance(StrictSerializer):
    """What somebody says at the help desk, after showing who they are where ``enrollment_id`` names them."""

    category = serializers.ChoiceField(choices=GrievanceCategory.choices)
    text = Text(max_length=grievance_words.MOST_TEXT)
    contact = Text(
        required=False,
        allow_blank=True,
        max_length=grievance_words.MOST_CONTACT,
        help_text="How to reach them.",
    )
    enrollment_id = Whole(required=False, min_value=1, max_value=2**63 - 1)
    payment_id = Whole(required=False, min_value=1, max_value=2**63 - 1)
    received_sat = Satoshi(required=False, help_text="What the person says to have received.")


class GrievanceLink(StrictSerializer):
    """The person and the payment that it is about; what is left out stays."""

    enrollment_id = Whole(required=False, min_value=1, max_value=2**63 - 1)
    payment_id = Whole(required=False, min_value=1, max_value=2**63 - 1)


class GrievanceAnswer(StrictSerializer):
    """What came of it, in words that the person reads."""

    finding = serializers.ChoiceField(choices=Finding.choices)
    text = Text(max_length=grievance_words.MOST_TEXT)


class GrievanceOut(serializers.Serializer[Any]):
    """A grievance. Its words are null but for those who answer grievances, and auditors.

    ``paid_sat`` is what the chain says was paid by its payment; ``missing_sat`` is that without what the person received.
    """

    of_request = True

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    category = serializers.ChoiceField(choices=GrievanceCategory.choices)
    status = serializers.ChoiceField(choices=GrievanceStatus.choices)
    is_overdue = serializers.BooleanField(source="is_overdue_now")
    is_proved = serializers.BooleanField()
    enrollment_id = serializers.IntegerField(allow_null=True)
    payment_id = serializers.IntegerField(allow_null=True)
    received_sat = serializers.IntegerField(allow_null=True)
    paid_sat = serializers.IntegerField(allow_null=True)
    missing_sat = serializers.IntegerField(allow_null=True)
    text = serializers.SerializerMethodField()
    contact = serializers.SerializerMethodField()
    owner = Username(allow_null=True)
    finding = serializers.ChoiceField(choices=[*Finding.choices, ("", "")])
    answer = serializers.SerializerMethodField()
    lodged_by = Username(allow_null=True)
    lodged_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    answered_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)

    def _words(self, row: Grievance, name: str) -> str | None:
        return selector.words(row, self.context["readable"])[name]

    @extend_schema_field({"type": ["string", "null"]})
    def get_text(self, row: Grievance) -> str | None:
        """Return what the person wrote."""
        return self._words(row, "text")

    @extend_schema_field({"type": ["string", "null"]})
    def get_contact(self, row: Grievance) -> str | None:
        """Return how the person can be reached."""
        return self._words(row, "contact")

    @extend_schema_field({"type": ["string", "null"]})
    def get_answer(self, row: Grievance) -> str | None:
        """Return what was answered."""
        return self._words(row, "answer")


class GrievanceLodged(GrievanceOut):
    """A new grievance; ``secret`` is shown this once, and the person follows it with that."""

    secret = serializers.CharField()
