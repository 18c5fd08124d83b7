"""Institutions that hold bitcoin, what they hold and risk, and the room that the law leaves."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text, Whole
from ledger.law import policy
from ledger.models import InflowKind
from ledger.models.lot import MOST_MINOR, MOST_SAT
from payments.api.serializers.fields import NOTE_HELP
from payments.api.serializers.price import CURRENCIES, MAX_ID, Price
from payments.models import Institution
from payments.models.institution import (
    LEAST_QUANTILE,
    LEAST_WINDOW,
    MOST_QUANTILE,
    MOST_WINDOW,
    WHOLE_BPS,
)
from payments.services import proposals

BADGES = [(name, name) for name in ("verified", "declared", "partly")]


class InstitutionProposal(StrictSerializer):
    """An institution that there should be, or what of one should be otherwise; what is left out stays."""

    institution_id = Whole(
        required=False, min_value=1, max_value=MAX_ID, help_text="Which to change; without it a new one."
    )
    scope = Text(required=False, max_length=40, help_text="The institution in the books, such as reserve:1.")
    name = Text(required=False, max_length=100)
    policy_profile = serializers.ChoiceField(
        required=False, choices=[(name, profile.title) for name, profile in policy.PROFILES.items()]
    )
    currency = serializers.ChoiceField(
        required=False, choices=CURRENCIES, help_text="Of its lots and limits."
    )
    most_sat = Whole(required=False, min_value=1, max_value=MOST_SAT, help_text="What it may hold.")
    other_reserves_minor = Whole(
        required=False, min_value=0, max_value=MOST_MINOR, help_text="What it has besides bitcoin, as stated."
    )
    most_share_bps = Whole(
        required=False, min_value=1, max_value=WHOLE_BPS, help_text="What bitcoin may be of all, in 1/10,000."
    )
    most_var_bps = Whole(
        required=False,
        min_value=1,
        max_value=WHOLE_BPS,
        help_text="What may be lost of its bitcoin within a day, in 1/10,000.",
    )
    var_window_days = Whole(
        required=False, min_value=LEAST_WINDOW, max_value=MOST_WINDOW, help_text="Of how many days."
    )
    var_quantile_bps = Whole(
        required=False,
        min_value=LEAST_QUANTILE,
        max_value=MOST_QUANTILE,
        help_text="By how many of them, in 1/10,000.",
    )
    note = Text(max_length=proposals.MAX_NOTE, help_text=NOTE_HELP)


class InstitutionOut(serializers.ModelSerializer[Institution]):
    """An institution, its law and its limits; a limit that is null is none."""

    proposal_id = serializers.IntegerField()
    currency = serializers.ChoiceField(choices=CURRENCIES)

    class Meta:
        model = Institution
        fields = (
            *("id", "scope", "name", "policy_profile", "currency", "most_sat", "other_reserves_minor"),
            *("most_share_bps", "most_var_bps", "var_window_days", "var_quantile_bps", "proposal_id"),
        )
        read_only_fields = fields


class PositionOut(serializers.Serializer[Any]):
    """What an institution holds at a block, its cost by weighted average, and its value by a quote, or why there is none."""

    scope = serializers.CharField()
    badge = serializers.ChoiceField(choices=BADGES)
    verified_sat = serializers.IntegerField()
    declared_sat = serializers.IntegerField()
    address_count = serializers.IntegerField()
    share_percent = serializers.CharField(help_text="Of 21 million bitcoin.")
    currency = serializers.CharField()
    scale = serializers.IntegerField()
    lot_sat = serializers.IntegerField(help_text="What of it is in lots, whose cost is known.")
    cost_minor = serializers.IntegerField()
    average_minor = serializers.IntegerField(
        allow_null=True, help_text="What a bitcoin of the lots had cost."
    )
    price = Price(allow_null=True)
    quote_id = serializers.IntegerField(source="quote_number", allow_null=True)
    fair_minor = serializers.IntegerField(allow_null=True)
    unrealised_minor = serializers.IntegerField(allow_null=True, help_text="Of the lots.")
    broken_rule = serializers.CharField(source="rule", help_text="What stands against a price.")
    message = serializers.CharField()
    height = serializers.IntegerField()
    block_hash = serializers.CharField()
    block_at = serializers.DateTimeField()


class ByKind(serializers.Serializer[Any]):
    """Satoshis by what they came for."""

    def get_fields(self) -> dict[str, Any]:
        """Return a field a kind."""
        return {kind.value: serializers.IntegerField() for kind in InflowKind}


class RoomOut(serializers.Serializer[Any]):
    """What institutions under a law have added since its ceiling is in force, counted both ways, and what is left."""

    ruling = serializers.CharField(source="provision.ruling", default="not_in_force")
    law = serializers.CharField(source="provision.law", default="")
    text = serializers.CharField(source="provision.text", default="")
    ceiling_sat = serializers.IntegerField(source="provision.ceiling_sat", allow_null=True, default=None)
    since = serializers.DateTimeField(allow_null=True)
    by_kind = ByKind(source="added.by_kind")
    unclassed_sat = serializers.IntegerField(source="added.unclassed_sat")
    disposed_sat = serializers.IntegerField(source="added.disposed_sat")
    net_voluntary_sat = serializers.IntegerField(
        source="added.net_voluntary_sat",
        help_text="As a lender counts: purchases and mining less disposals; what is not classed is not in it.",
    )
    grown_sat = serializers.IntegerField(
        source="added.grown_sat",
        help_text="As addresses show it: how much more is on them, whatever it came for.",
    )
    differs_sat = serializers.IntegerField(source="added.differs_sat")
    trusts_sat = serializers.IntegerField(help_text="What boards of trusts bought less what they sold.")
    planned_sat = serializers.IntegerField()
    left_sat = serializers.IntegerField(allow_null=True)


class RiskOut(serializers.Serializer[Any]):
    """What may be lost within a day, and of how many pairs of days; or the rule by which nobody can say."""

    bps = serializers.IntegerField(allow_null=True)
    amount_minor = serializers.IntegerField(allow_null=True)
    days = serializers.IntegerField()
    broken_rule = serializers.CharField(source="rule")
    message = serializers.CharField()


class ExposureOut(serializers.Serializer[Any]):
    """An institution with its position, exposure and room; ``breaches`` are the alarms by code, with what they ask for."""

    institution = InstitutionOut()
    position = PositionOut(allow_null=True)
    share_bps = serializers.IntegerField(allow_null=True)
    var = RiskOut()
    room = RoomOut()
    breaches = serializers.DictField(child=serializers.CharField())


class FloatOut(serializers.Serializer[Any]):
    """What a program's wallet holds, the largest of its last cycles, and what is beyond it."""

    program_id = serializers.IntegerField(source="program.pk")
    code = serializers.CharField(source="program.code")
    float_sat = serializers.IntegerField()
    cycle_sat = serializers.IntegerField(allow_null=True)
    over_sat = serializers.IntegerField()


class FloatsOut(serializers.Serializer[Any]):
    """The floats of the user's programs."""

    floats = FloatOut(many=True)
