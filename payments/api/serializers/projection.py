"""What a program's payments will take and cost, and what paying costs elsewhere."""

from fractions import Fraction
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text, Whole
from payments.api.serializers.fields import Username
from payments.models.outcome import MOST
from payments.onchain import amount
from payments.payout.projection import SCRIPTS, Cost
from payments.selectors.projections import MOST_PEOPLE, in_decimals

CURRENCY = r"^[A-Z]{3}\Z"


@extend_schema_field({"type": ["string", "null"], "pattern": r"^[0-9]+(\.[0-9]+)?$"})
class Figure(serializers.Field[Any, Any, Any, Any]):
    """A figure as decimal text, rounded half to even to ``places``; null where it cannot be said."""

    def __init__(self, places: int, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)
        self.places = places

    def to_representation(self, value: Fraction) -> str:
        return f"{in_decimals(value, self.places):f}"


class ProjectionQuery(StrictSerializer):
    """How many people are paid to each kind of script, and how."""

    p2wpkh = Whole(required=False, min_value=0, max_value=MOST_PEOPLE)
    p2wsh = Whole(required=False, min_value=0, max_value=MOST_PEOPLE)
    p2tr = Whole(required=False, min_value=0, max_value=MOST_PEOPLE)
    p2pkh = Whole(required=False, min_value=0, max_value=MOST_PEOPLE)
    p2sh = Whole(required=False, min_value=0, max_value=MOST_PEOPLE)
    group_max_payments = Whole(
        required=False, min_value=1, max_value=3_000, help_text="Payments a payout; else the program's rule."
    )
    block_share_percent = Whole(
        required=False, min_value=1, max_value=100, help_text="How much of each block is for them; else all."
    )
    amount_sat = Whole(
        required=False, min_value=1, max_value=amount.MAX_SAT, help_text="What each person gets, in satoshis."
    )
    amount_minor = Whole(
        required=False,
        min_value=1,
        max_value=MOST,
        help_text="The same in minor units of the currency; needs the price.",
    )
    currency = serializers.RegexField(CURRENCY, required=False, trim_whitespace=False)
    price_minor = Whole(
        required=False,
        min_value=1,
        max_value=MOST,
        help_text="What a bitcoin costs, in minor units of the currency. None is assumed.",
    )

    def validate(self, attrs: Any) -> Any:
        """Gather the kinds of scripts."""
        return attrs | {"outputs": {kind: attrs.pop(kind, 0) for kind in SCRIPTS}}


class NewCostBaseline(StrictSerializer):
    """What paying costs elsewhere, and who says so."""

    name = Text(max_length=100)
    currency = serializers.RegexField(
        CURRENCY,
        required=False,
        trim_whitespace=False,
        help_text="Of a cost in minor units of it; left out, the figure is a share of the value paid.",
    )
    numerator = Whole(min_value=0, max_value=MOST, help_text="Minor units, or parts of the value.")
    denominator = Whole(min_value=1, max_value=MOST, help_text="For so many payments, or of so many parts.")
    source = Text(
        max_length=300, help_text="Where the figure is from: a report with its page, or an address."
    )  # type: ignore[assignment]
    measured_date = serializers.DateField(help_text="For which day it holds.")


class CostBaselineOut(serializers.Serializer[Any]):
    """What paying costs elsewhere."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    currency = serializers.CharField(help_text="Empty: the figure is a share of the value paid.")
    numerator = serializers.IntegerField()
    denominator = serializers.IntegerField()
    source = serializers.CharField()  # type: ignore[assignment]
    measured_date = serializers.DateField()
    entered_by = Username()
    entered_at = serializers.DateTimeField()


class CostOut(serializers.Serializer[Any]):
    """What it costs at a feerate."""

    feerate_sat_vb = serializers.IntegerField()
    fee_sat = serializers.IntegerField(help_text="All payouts.")
    fee_per_payment_sat = Figure(3, source="per_payment_sat")
    fee_per_payment_minor = Figure(3, source="per_payment_minor", help_text="In the currency, at the price.")
    share = Figure(6, help_text="The fees for one of the value paid.")


class TimesOut(serializers.Serializer[Any]):
    """How many times as much it costs there."""

    feerate_sat_vb = serializers.IntegerField()
    times = Figure(3)


class ComparisonOut(serializers.Serializer[Any]):
    """A baseline beside the projection, or why it cannot be compared."""

    baseline = CostBaselineOut()
    cost_per_payment_sat = Figure(3, source="per_payment_sat")
    why_not = serializers.CharField(help_text="Empty where it can be compared.")
    times = TimesOut(many=True)


class ProjectionOut(serializers.Serializer[Any]):
    """What the payments will take and cost: one output a person, one input and one output of change a payout."""

    people = serializers.IntegerField()
    payouts = serializers.IntegerField()
    vsize_vb = serializers.IntegerField()
    blocks = serializers.IntegerField(help_text="The least, with block_share_percent of each.")
    hours = Figure(1, help_text="How long these blocks are meant to take, ten minutes each.")
    block_share_percent = serializers.IntegerField()
    amount_sat = serializers.IntegerField(allow_null=True)
    currency = serializers.CharField()
    price_minor = serializers.IntegerField(allow_null=True)
    costs = CostOut(many=True)
    comparisons = ComparisonOut(many=True)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Show a Projected."""
        found, value = instance.projection, instance.projection.value
        costs: list[Cost] = found.costs
        comparisons = [
            {
                "baseline": each.baseline,
                "per_payment_sat": each.per_payment_sat,
                "why_not": each.why_not,
                "times": [
                    {"feerate_sat_vb": cost.feerate_sat_vb, "times": each.times(cost)} for cost in costs
                ],
            }
            for each in instance.comparisons
        ]
        whole = {name: getattr(found, name) for name in ("people", "payouts", "vsize_vb", "blocks", "hours")}
        return super().to_representation(
            whole
            | {"block_share_percent": found.block_share_percent, "amount_sat": value.amount_sat}
            | {"currency": value.currency, "price_minor": value.price_minor}
            | {"costs": costs, "comparisons": comparisons}
        )
