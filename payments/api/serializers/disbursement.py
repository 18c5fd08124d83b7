"""Lists: what makes one, and how it is shown."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api.serializers import Hash, StrictSerializer, Text, Whole
from payments.api.serializers.fields import NOTE_HELP, Satoshi, Username
from payments.states import DisbursementStatus, PaymentStatus, PayoutStatus


class Line(StrictSerializer):
    """One line: whom, by the reference they are enrolled under, and how much."""

    reference = Text(max_length=40)
    amount_sat = Satoshi()


@extend_schema_field(Line(many=True))
class Lines(serializers.Field[Any, Any, Any, Any]):
    """A JSON array; its rows are judged by the rules of a file, so that every bad one is named with its row."""

    default_error_messages = {"invalid": "Give an array of lines."}

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("invalid")
        return data


class ListControl(StrictSerializer):
    """The cycle and the control totals, which the lines must meet exactly."""

    period = Text(help_text="1 to 20 letters, digits and hyphens, such as 2026-11.")
    purpose = Text(help_text="1 to 40 small letters, digits and hyphens, such as pension.")
    expected_count = Whole(min_value=0, max_value=2**31 - 1)
    expected_total_sat = Satoshi()
    is_urgent = serializers.BooleanField(
        required=False, help_text="Pay it even while fees are high, up to the program's ceiling."
    )


class ListFromLines(ListControl):
    """A list as JSON."""

    lines = Lines()


class ListFromFile(ListControl):
    """A list as a CSV file with the columns reference and amount_sat."""

    file = serializers.FileField(allow_empty_file=True)


class Agreement(StrictSerializer):
    """The manifest that the person looked at; any other is refused."""

    manifest_hash = Hash()


class Approving(Agreement):
    """The manifest, and for which group the person approves, where they are in several."""

    group = Text(required=False, max_length=40)


class Reason(StrictSerializer):
    """A reason in words."""

    note = Text(max_length=2000, allow_blank=True, help_text=NOTE_HELP)


class TierOut(serializers.Serializer[Any]):
    """Who must approve a list, frozen when it was submitted: how many of which group, within how many days."""

    policy_id = serializers.IntegerField(source="policy", allow_null=True)
    up_to_sat = serializers.IntegerField(allow_null=True)
    needs = serializers.DictField(child=serializers.IntegerField())
    approval_days = serializers.IntegerField(source="days")


class DisbursementOut(serializers.Serializer[Any]):
    """A list: its control totals, its manifest, and who did what when."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    program_code = serializers.CharField(source="program.code")
    period = serializers.CharField(source="cycle.period")
    purpose = serializers.CharField(source="cycle.purpose")
    intake_id = serializers.IntegerField()
    status = serializers.ChoiceField(choices=DisbursementStatus.choices)
    payment_count = serializers.IntegerField()
    total_sat = serializers.IntegerField()
    manifest_hash = Hash(allow_null=True)
    fee_reserved_sat = serializers.IntegerField(allow_null=True)
    approval_tier = TierOut(allow_null=True)
    is_urgent = serializers.BooleanField()
    problem = serializers.CharField()
    fees_wait_since = serializers.DateTimeField(allow_null=True)
    made_by = Username()
    made_at = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    approved_by = Username(allow_null=True)
    approved_at = serializers.DateTimeField(allow_null=True)
    released_by = Username(allow_null=True)
    released_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(allow_null=True)


class PaymentTally(serializers.Serializer[Any]):
    """Payments in one status."""

    status = serializers.ChoiceField(choices=PaymentStatus.choices)
    count = serializers.IntegerField()
    amount_sat = serializers.IntegerField()


class PayoutTally(serializers.Serializer[Any]):
    """Payouts in one status."""

    status = serializers.ChoiceField(choices=PayoutStatus.choices)
    count = serializers.IntegerField()
    amount_sat = serializers.IntegerField()


class ProgressOut(serializers.Serializer[Any]):
    """How far a list is; ``unsealed_count`` payments are not in a payout yet."""

    payments = PaymentTally(many=True)
    payouts = PayoutTally(many=True)
    unsealed_count = serializers.IntegerField()


class DisbursementDetail(DisbursementOut):
    """A list with its progress."""

    progress = ProgressOut()


class HistoryOut(serializers.Serializer[Any]):
    """One change of status; nobody's name means the engine."""

    id = serializers.IntegerField()
    old = serializers.CharField()
    new = serializers.CharField()
    reason = serializers.CharField()
    note = serializers.CharField()
    actor = Username(allow_null=True)
    at = serializers.DateTimeField()
