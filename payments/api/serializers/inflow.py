"""What came to the reserve, classings of it, and plans to buy."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text, Whole
from ledger.models import InflowKind
from ledger.models.lot import MOST_MINOR, MOST_SAT
from payments.api.serializers.fields import NOTE_HELP, Username
from payments.api.serializers.price import MAX_ID, PRICE_HELP, Price
from payments.models.inflow import MAX_SOURCE, MOST_OUTPUTS
from payments.services import treasurers

PLAN_STATES = [(name, name) for name in ("proposed", "approved", "ended")]


class TreasurerReason(StrictSerializer):
    """Why."""

    note = Text(max_length=treasurers.MAX_NOTE, help_text=NOTE_HELP)


class AmountSeen(StrictSerializer):
    """The satoshis that one agrees to."""

    amount_sat = Whole(min_value=0, max_value=MOST_SAT, help_text="As you have seen them.")


class InflowOut(serializers.Serializer[Any]):
    """An output that a scan found, and what it came for; null: nobody has classed it."""

    id = serializers.IntegerField()
    scope = serializers.CharField()
    holding_id = serializers.IntegerField(source="holding_number")
    address = serializers.CharField()
    txid = serializers.CharField()
    vout = serializers.IntegerField()
    amount_sat = serializers.IntegerField()
    height = serializers.IntegerField()
    found_at = serializers.DateTimeField(source="scan.scanned_at")
    kind = serializers.ChoiceField(choices=InflowKind.choices, allow_null=True)
    funding_source = serializers.CharField(allow_null=True)
    classed_in = serializers.CharField(source="class_reference", allow_null=True)
    lot = serializers.CharField(source="lot_reference", allow_null=True)


class ClassingGiven(StrictSerializer):
    """What outputs of one institution came for."""

    inflow_ids = serializers.ListField(
        child=Whole(min_value=1, max_value=MAX_ID), min_length=1, max_length=MOST_OUTPUTS
    )
    kind = serializers.ChoiceField(choices=InflowKind.choices)
    funding_source = Text(
        required=False,
        max_length=MAX_SOURCE,
        help_text="Whose money it is, or whose bitcoin it was, a person by a number; a purchase has its plan's.",
    )
    plan_id = Whole(required=False, min_value=1, max_value=MAX_ID, help_text="Of a purchase: its plan.")
    cost_minor = Whole(
        required=False,
        min_value=0,
        max_value=MOST_MINOR,
        help_text="Of what is acquired: what all of it cost, fees included, in minor units; it may be 0.",
    )
    acquired_at = serializers.DateTimeField(required=False, help_text="Of what is acquired: when.")
    note = Text(max_length=treasurers.MAX_NOTE, help_text=NOTE_HELP)


class ClassingOut(serializers.Serializer[Any]):
    """What outputs came for, who said so, and who confirmed or withdrew it."""

    id = serializers.IntegerField()
    scope = serializers.CharField(source="institution.scope")
    kind = serializers.ChoiceField(choices=InflowKind.choices)
    funding_source = serializers.CharField()
    plan_id = serializers.IntegerField(allow_null=True)
    output_count = serializers.IntegerField()
    amount_sat = serializers.IntegerField()
    currency = serializers.CharField(source="institution.currency")
    cost_minor = serializers.IntegerField(allow_null=True)
    acquired_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField()
    state = serializers.ChoiceField(choices=[(name, name) for name in ("given", "confirmed", "withdrawn")])
    given_by = Username()
    given_at = serializers.DateTimeField()
    confirmed_by = Username(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    withdrawn_by = Username(allow_null=True)
    withdrawn_at = serializers.DateTimeField(allow_null=True)


class PlanProposed(StrictSerializer):
    """So much that an institution may buy, at most at a price, until a time."""

    institution_id = Whole(min_value=1, max_value=MAX_ID)
    amount_sat = Whole(min_value=1, max_value=MOST_SAT)
    limit_price = Text(max_length=40, help_text=f"Fees included. {PRICE_HELP}")
    funding_source = Text(max_length=MAX_SOURCE, help_text="Whose money it is.")
    ends_at = serializers.DateTimeField(help_text="Nothing is bought under it from then on.")
    note = Text(max_length=treasurers.MAX_NOTE, help_text=NOTE_HELP)


class PlanOut(serializers.Serializer[Any]):
    """A plan to buy, what was bought under it, and its people."""

    id = serializers.IntegerField()
    institution_id = serializers.IntegerField()
    scope = serializers.CharField(source="institution.scope")
    amount_sat = serializers.IntegerField()
    bought_sat = serializers.IntegerField()
    left_sat = serializers.IntegerField()
    currency = serializers.CharField()
    limit_price = Price()
    funding_source = serializers.CharField()
    ends_at = serializers.DateTimeField()
    note = serializers.CharField()
    state = serializers.ChoiceField(choices=PLAN_STATES)
    proposed_by = Username()
    proposed_at = serializers.DateTimeField()
    approved_by = Username(allow_null=True)
    approved_at = serializers.DateTimeField(allow_null=True)
    ended_by = Username(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class PartOut(serializers.Serializer[Any]):
    """What should go to an address that was never used."""

    address = serializers.CharField()
    amount_sat = serializers.IntegerField()


class SplitAsked(StrictSerializer):
    """How much is to be spread."""

    amount_sat = Whole(min_value=1, max_value=MOST_SAT)


class SplitOut(serializers.Serializer[Any]):
    """An amount over fresh addresses of a holding; nothing is sent or set aside."""

    parts = PartOut(many=True)
