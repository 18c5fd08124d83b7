"""Convertibility trusts, what their boards decide, the legs that they take, and what people elect."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text, Whole
from ledger.law import policy, tax
from ledger.models.lot import MOST_MINOR, MOST_SAT
from payments.api.serializers.fields import NOTE_HELP, Username
from payments.api.serializers.price import CURRENCIES, MAX_ID
from payments.models import ElectionChoice, Instead, LegRefusal, TrustDecisionKind
from payments.models.trust import SEATS
from payments.selectors import trusts as selector
from payments.services import chosen_lists, elections, proposals, trust_boards
from payments.services.trust_acts import MAX_REFERENCE
from payments.states import DecisionStatus, LegStatus

MINOR_HELP = "Minor units of the currency: paisa, cents."
FLOOR_HELP = f"{MINOR_HELP} What must be left besides what people are owed when a leg is taken."
REFUSALS = [("", "None"), *LegRefusal.choices]
INSTEAD = [("", "None"), *Instead.choices]
CHOSEN_RAILS = [(name, name) for name in chosen_lists.CHOICES]
LIMIT_HELP = f"{MINOR_HELP} The most for one person in a list."


class TrustProposal(StrictSerializer):
    """A new trust, or other people or law of one; its money and terms are its board's to decide."""

    trust_id = Whole(required=False, min_value=1, max_value=MAX_ID, help_text="Without it, it is a new one.")
    scope = Text(required=False, max_length=40, help_text="The institution in the books, such as trust:1.")
    name = Text(required=False, max_length=60)
    policy_profile = serializers.ChoiceField(
        required=False, choices=[(name, profile.title) for name, profile in policy.PROFILES.items()]
    )
    jurisdiction = serializers.ChoiceField(
        required=False, choices=[(name, name) for name in sorted(tax.TABLES)], help_text="Who taxes it."
    )
    members = serializers.ListField(
        required=False,
        child=Text(max_length=150),
        min_length=SEATS,
        max_length=SEATS,
        help_text="User names of its board: three people without a role in any program.",
    )
    inventory_cap_sat = Whole(required=False, min_value=0, max_value=MOST_SAT)
    currency = serializers.ChoiceField(required=False, choices=CURRENCIES, help_text="ISO 4217.")
    floor_minor = Whole(required=False, min_value=0, max_value=MOST_MINOR, help_text=FLOOR_HELP)
    limit_minor = Whole(required=False, min_value=1, max_value=MOST_MINOR, help_text=LIMIT_HELP)
    note = Text(max_length=proposals.MAX_NOTE, help_text=NOTE_HELP)


class DecisionAsked(StrictSerializer):
    """What the board should decide; each kind needs some of the terms, and takes no other."""

    kind = serializers.ChoiceField(choices=TrustDecisionKind.choices)
    currency = serializers.ChoiceField(required=False, choices=CURRENCIES, help_text="ISO 4217.")
    amount_minor = Whole(required=False, min_value=1, max_value=MOST_MINOR, help_text=MINOR_HELP)
    amount_sat = Whole(required=False, min_value=1, max_value=MOST_SAT)
    value_minor = Whole(
        required=False,
        min_value=1,
        max_value=MOST_MINOR,
        help_text=f"{MINOR_HELP} What the bitcoin cost, with fees, or brought, without them.",
    )
    floor_minor = Whole(required=False, min_value=0, max_value=MOST_MINOR, help_text=FLOOR_HELP)
    limit_minor = Whole(required=False, min_value=1, max_value=MOST_MINOR, help_text=LIMIT_HELP)
    inventory_cap_sat = Whole(required=False, min_value=0, max_value=MOST_SAT)
    reference = Text(
        required=False, max_length=MAX_REFERENCE, help_text="The paper that shows it: a letter, a statement."
    )
    note = Text(max_length=trust_boards.MAX_NOTE, help_text=NOTE_HELP)


class DecisionReason(StrictSerializer):
    """Why."""

    note = Text(max_length=trust_boards.MAX_NOTE)


class ElectionMade(StrictSerializer):
    """What a person wants to be paid in, and how they told it."""

    choice = serializers.ChoiceField(choices=ElectionChoice.choices)
    trust_id = Whole(required=False, min_value=1, max_value=MAX_ID, help_text="Of currency: who pays it.")
    currency = serializers.ChoiceField(required=False, choices=CURRENCIES, help_text="Of currency: which.")
    note = Text(max_length=elections.MAX_NOTE, help_text="How the person told it: a letter, a call.")


class TakenInstead(StrictSerializer):
    """How the person told what they take instead of currency."""

    note = Text(max_length=elections.MAX_NOTE)


class ListOfChoices(StrictSerializer):
    """How those on the new list are paid: ``bitcoin`` is for who takes it, and for whom the trust is asked again."""

    rail = serializers.ChoiceField(choices=CHOSEN_RAILS)


class PurseOut(serializers.Serializer[Any]):
    """A trust's money in a currency, in minor units; ``free_minor`` is below zero where it is below its floor."""

    currency = serializers.CharField()
    scale = serializers.IntegerField()
    cash_minor = serializers.IntegerField()
    owed_minor = serializers.IntegerField()
    promised_minor = serializers.IntegerField()
    floor_minor = serializers.IntegerField()
    limit_minor = serializers.IntegerField()
    free_minor = serializers.IntegerField()


class TrustOut(serializers.Serializer[Any]):
    """A trust: its law, its bitcoin and its cap, its money, and its board."""

    id = serializers.IntegerField()
    scope = serializers.CharField()
    name = serializers.CharField()
    policy_profile = serializers.CharField()
    jurisdiction = serializers.CharField()
    is_paused = serializers.BooleanField()
    inventory_sat = serializers.IntegerField()
    promised_sat = serializers.IntegerField()
    inventory_cap_sat = serializers.IntegerField()
    purses = PurseOut(many=True)
    board_number = serializers.IntegerField()
    members = serializers.SerializerMethodField()
    proposal_id = serializers.IntegerField()

    def get_members(self, row: Any) -> list[str]:
        """Name the board."""
        return [seat.user.get_username() for seat in row.board]


class VoteOut(serializers.Serializer[Any]):
    """A signature."""

    user = Username()
    at = serializers.DateTimeField()


@extend_schema_field(OpenApiTypes.OBJECT)
class Terms(serializers.JSONField):
    """The terms by name."""


class DecisionOut(serializers.Serializer[Any]):
    """What a board was asked, and who signed it."""

    of_request = True

    id = serializers.IntegerField()
    trust_id = serializers.IntegerField()
    board_number = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=TrustDecisionKind.choices)
    status = serializers.ChoiceField(choices=DecisionStatus.choices)
    terms = Terms()
    note = serializers.CharField()
    made_by = Username()
    made_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    votes = VoteOut(many=True)
    waits_for_me = serializers.SerializerMethodField()

    def get_waits_for_me(self, row: Any) -> bool:
        """Say whether the caller may sign it as a second member."""
        return selector.may_sign(self.context["request"].user, row)


class LegOut(serializers.Serializer[Any]):
    """The bitcoin leg of a payment whose person elected currency; of whom it is, the payment's own address tells."""

    id = serializers.IntegerField()
    payment_id = serializers.IntegerField()
    currency = serializers.CharField(source="purse.currency")
    status = serializers.ChoiceField(choices=LegStatus.choices)
    refusal = serializers.ChoiceField(choices=REFUSALS)
    instead = serializers.ChoiceField(
        choices=INSTEAD, help_text="What the person chose once the trust had not taken it."
    )
    amount_sat = serializers.IntegerField(allow_null=True)
    value_minor = serializers.IntegerField(allow_null=True)
    quote_id = serializers.IntegerField(allow_null=True)
    asked_at = serializers.DateTimeField()
    taken_at = serializers.DateTimeField(allow_null=True)
    owed_at = serializers.DateTimeField(allow_null=True)


class ElectionOut(serializers.Serializer[Any]):
    """What a person elected; the last one counts. ``made_by`` is null where the person said it alone, with a code."""

    id = serializers.IntegerField()
    choice = serializers.ChoiceField(choices=ElectionChoice.choices)
    trust_id = serializers.IntegerField(source="purse.trust_id", default=None, allow_null=True)
    currency = serializers.CharField(source="purse.currency", default=None, allow_null=True)
    note = serializers.CharField()
    made_by = Username(allow_null=True)
    made_at = serializers.DateTimeField()
