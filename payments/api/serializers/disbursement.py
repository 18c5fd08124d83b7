"""Lists: what makes one, and how it is shown."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api.serializers import Hash, StrictSerializer, Text, Whole
from payments.api.serializers.fields import NOTE_HELP, Satoshi, Username
from payments.api.serializers.price import Price, QuoteOut
from payments.models import Rail
from payments.states import DisbursementStatus, PaymentStatus, PayoutStatus


class Line(StrictSerializer):
    """One line: whom, by the reference they are enrolled under, and how much, in the program's own unit."""

    reference = Text(max_length=40)
    amount_sat = Satoshi(required=False)
    amount_minor = Satoshi(required=False)


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
    expected_total_sat = Satoshi(required=False, help_text="Of a program that pays satoshis.")
    expected_total_minor = Satoshi(
        required=False, help_text="Of a program of money, in minor units of its currency."
    )
    is_urgent = serializers.BooleanField(
        required=False, help_text="Pay it even while fees are high, up to the program's ceiling."
    )


class ListFromLines(ListControl):
    """A list as JSON."""

    lines = Lines()


class ListFromFile(ListControl):
    """A list as a CSV file with the columns reference and amount_sat, or amount_minor of money."""

    file = serializers.FileField(allow_empty_file=True)


class Agreement(StrictSerializer):
    """The manifest that the person looked at; any other is refused."""

    manifest_hash = Hash()


class Releasing(Agreement):
    """The manifest, and of a program of money the quote by which the list is converted."""

    quote_id = Whole(
        required=False, min_value=1, max_value=2**63 - 1, help_text="What `quote/` answered, while it holds."
    )


class Approving(Agreement):
    """The manifest, and for which group the person approves, where they are in several."""

    group = Text(required=False, max_length=40)


class Reason(StrictSerializer):
    """A reason in words."""

    note = Text(max_length=2000, allow_blank=True, help_text=NOTE_HELP)


class TierOut(serializers.Serializer[Any]):
    """Who must approve a list, frozen when it was submitted: how many of which group, within how many days."""

    policy_id = serializers.IntegerField(source="policy", allow_null=True)
    up_to_sat = serializers.IntegerField(allow_null=True, default=None)
    up_to_minor = serializers.IntegerField(allow_null=True, default=None)
    needs = serializers.DictField(child=serializers.IntegerField())
    approval_days = serializers.IntegerField(source="days")


class DisbursementOut(serializers.Serializer[Any]):
    """A list: its control totals, its manifest, and who did what when.

    ``total_minor`` and ``quote_id`` are of a program of money, where ``total_sat`` is null until the release converts.
    """

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    program_code = serializers.CharField(source="program.code")
    period = serializers.CharField(source="cycle.period")
    purpose = serializers.CharField(source="cycle.purpose")
    intake_id = serializers.IntegerField()
    status = serializers.ChoiceField(choices=DisbursementStatus.choices)
    rail = serializers.ChoiceField(choices=Rail.choices)
    payment_count = serializers.IntegerField()
    currency = serializers.CharField(source="program.currency")
    total_minor = serializers.IntegerField(allow_null=True)
    total_sat = serializers.IntegerField(allow_null=True)
    quote_id = serializers.IntegerField(allow_null=True)
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
    amount_minor = serializers.IntegerField(allow_null=True)
    amount_sat = serializers.IntegerField(allow_null=True)


class PayoutTally(serializers.Serializer[Any]):
    """Payouts in one status."""

    status = serializers.ChoiceField(choices=PayoutStatus.choices)
    count = serializers.IntegerField()
    amount_minor = serializers.IntegerField(allow_null=True)
    amount_sat = serializers.IntegerField(allow_null=True)


class ProgressOut(serializers.Serializer[Any]):
    """How far a list is; ``unsealed_count`` payments are in no payout, bank file or voucher yet."""

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


class EstimateOut(serializers.Serializer[Any]):
    """What a list of money would be at the price now: it binds nobody, and the release takes a quote of its own.

    The satoshis and the price are null where there is no price, or nothing to convert; ``message`` says why.
    """

    currency = serializers.CharField()
    amount_minor = serializers.IntegerField(allow_null=True)
    amount_sat = serializers.IntegerField(allow_null=True)
    price = Price(allow_null=True, help_text="Of a bitcoin, in major units of the currency.")
    price_at = serializers.DateTimeField(allow_null=True)
    price_age_s = serializers.IntegerField(allow_null=True)
    message = serializers.CharField()


class QuotedOut(serializers.Serializer[Any]):
    """A quote that was taken for a list, and what the list would be by it; nothing is converted before the release.

    ``remainder_minor`` is what the satoshis of all lines are worth less than the entitlements. While ``dust_count`` lines
    would be too small to be relayed, the release is refused.
    """

    quote = QuoteOut()
    count = serializers.IntegerField(source="figures.count")
    amount_minor = serializers.IntegerField(source="figures.amount_minor")
    amount_sat = serializers.IntegerField(source="figures.amount_sat")
    remainder_minor = serializers.IntegerField(source="figures.remainder_minor")
    dust_count = serializers.IntegerField(source="figures.dust_count")
    available_sat = serializers.IntegerField(help_text="What is free in the wallet.")
