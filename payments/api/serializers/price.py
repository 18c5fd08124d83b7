"""Prices, their sources and rules, quotes, manual prices and breakers."""

from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text, Whole
from payments.api.serializers.fields import NOTE_HELP, Username
from payments.models import SourceKind
from payments.models.price import LEAST_SOURCES, MOST_BPS, MOST_FRESH_S, MOST_QUOTE_S, MOST_SOURCES
from payments.prices import currency, reading
from payments.prices.consensus import Broken
from payments.services import prices, proposals

MAX_ID = 2**63 - 1
PRICE_HELP = "Major units a bitcoin, as plain digits with a point at most: 28100000.00."
CURRENCIES = [(code, code) for code in sorted(currency.SCALES)]
BROKEN = [("", "Nothing"), *((rule.value, rule.value) for rule in Broken)]
STATES = [(name, name) for name in ("given", "confirmed", "withdrawn")]


@extend_schema_field({"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,8})?$"})
class Price(serializers.Field[Any, Any, Any, Any]):
    """A price, shown as text."""

    def to_representation(self, value: Decimal) -> str:
        return reading.text_of(value) or ""


class RuleProposal(StrictSerializer):
    """How a price should be made in a currency; of a rule that there is, what is left out stays."""

    currency = serializers.ChoiceField(choices=CURRENCIES, help_text="ISO 4217.")
    is_on = serializers.BooleanField(required=False, help_text="Whether its sources are asked at all.")
    least_sources = Whole(
        required=False,
        min_value=LEAST_SOURCES,
        max_value=MOST_SOURCES,
        help_text="How many must say a fresh price and agree.",
    )
    spread_bps = Whole(
        required=False,
        min_value=1,
        max_value=MOST_BPS,
        help_text="How far one may be from the median, in 1/10,000.",
    )
    jump_bps = Whole(
        required=False,
        min_value=1,
        max_value=MOST_BPS,
        help_text="How far a price may be from the last accepted one, in 1/10,000.",
    )
    floor = Text(required=False, max_length=40, help_text=PRICE_HELP)
    ceiling = Text(required=False, max_length=40, help_text=PRICE_HELP)
    quote_s = Whole(required=False, min_value=10, max_value=MOST_QUOTE_S, help_text="How long a quote holds.")
    note = Text(max_length=proposals.MAX_NOTE, help_text=NOTE_HELP)


class SourceProposal(StrictSerializer):
    """Who should be asked; of a source that there is, what is left out stays, and currency and kind always do."""

    source_id = Whole(required=False, min_value=1, max_value=MAX_ID, help_text="Without it, it is a new one.")
    currency = serializers.ChoiceField(required=False, choices=CURRENCIES)
    name = Text(required=False, max_length=60)
    kind = serializers.ChoiceField(required=False, choices=SourceKind.choices)
    address = Text(
        required=False,
        max_length=300,
        allow_blank=True,
        help_text="https and a host, to which the kind adds its path; of a file its name; of two people nothing.",
    )
    fresh_s = Whole(
        required=False, min_value=10, max_value=MOST_FRESH_S, help_text="How old what it says may be."
    )
    is_ended = serializers.BooleanField(required=False, help_text="Ended for good.")
    note = Text(max_length=proposals.MAX_NOTE, help_text=NOTE_HELP)


class ManualPriceGiven(StrictSerializer):
    """What a bitcoin costs now, by somebody's word."""

    source_id = Whole(min_value=1, max_value=MAX_ID, help_text="A source of the kind `manual`.")
    price = Text(max_length=40, help_text=PRICE_HELP)
    note = Text(max_length=prices.MAX_NOTE, help_text="Where it comes from.")


class PriceSeen(StrictSerializer):
    """The price that a second person has seen, and agrees to."""

    price = Text(max_length=40, help_text=PRICE_HELP)


class PriceReason(StrictSerializer):
    """Why."""

    note = Text(max_length=prices.MAX_NOTE)


class CloseAsked(StrictSerializer):
    """At which price a breaker should be closed, and why."""

    price = Text(max_length=40, help_text=f"From which jumps are measured then. {PRICE_HELP}")
    note = Text(max_length=prices.MAX_NOTE)


class BreakerOut(serializers.Serializer[Any]):
    """A jump: from where to where, and who asked to close it and closed it at which price."""

    id = serializers.IntegerField()
    currency = serializers.CharField(source="rule.currency")
    is_open = serializers.BooleanField()
    opened_at = serializers.DateTimeField()
    from_price = Price()
    to_price = Price()
    close_price = Price(allow_null=True)
    close_note = serializers.CharField()
    asked_by = Username(allow_null=True)
    asked_at = serializers.DateTimeField(allow_null=True)
    closed_by = Username(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)


class SourceOut(serializers.Serializer[Any]):
    """A source and what it said last: ``value`` as of ``value_at``, whether it is used now, and else ``why`` not."""

    id = serializers.IntegerField(source="source.pk")
    name = serializers.CharField(source="source.name")
    kind = serializers.ChoiceField(choices=SourceKind.choices, source="source.kind")
    address = serializers.CharField(source="source.address")
    fresh_s = serializers.IntegerField(source="source.fresh_s")
    value = serializers.CharField(source="value.value", allow_null=True)
    value_at = serializers.DateTimeField(source="value.value_at", allow_null=True)
    is_used = serializers.BooleanField(source="value.is_used")
    why = serializers.CharField(source="value.why")
    asked_at = serializers.DateTimeField(allow_null=True)
    message = serializers.CharField()


class PriceOut(serializers.Serializer[Any]):
    """A currency: its price now, or the rule that stands against one; its rule, its breaker, and every source."""

    id = serializers.IntegerField(source="standing.rule.pk")
    currency = serializers.CharField(source="standing.rule.currency")
    is_on = serializers.BooleanField(source="standing.rule.is_on")
    price = Price(source="standing.price", allow_null=True)
    broken_rule = serializers.ChoiceField(choices=BROKEN, source="standing.against.rule")
    message = serializers.CharField(source="standing.against.message")
    accepted_price = Price(source="standing.status.accepted_price", allow_null=True)
    accepted_at = serializers.DateTimeField(source="standing.status.accepted_at", allow_null=True)
    checked_at = serializers.DateTimeField(source="standing.status.checked_at", allow_null=True)
    least_sources = serializers.IntegerField(source="standing.rule.least_sources")
    spread_bps = serializers.IntegerField(source="standing.rule.spread_bps")
    jump_bps = serializers.IntegerField(source="standing.rule.jump_bps")
    floor = Price(source="standing.rule.floor")
    ceiling = Price(source="standing.rule.ceiling")
    quote_s = serializers.IntegerField(source="standing.rule.quote_s")
    breaker = BreakerOut(source="standing.breaker", allow_null=True)
    sources = SourceOut(source="lines", many=True)


class QuotedValue(serializers.Serializer[Any]):
    """What a source had said when the quote was taken."""

    source = serializers.IntegerField()  # type: ignore[assignment]
    name = serializers.CharField()
    kind = serializers.CharField()
    value = serializers.CharField(allow_null=True)
    value_at = serializers.DateTimeField(allow_null=True)
    is_used = serializers.BooleanField()
    why = serializers.CharField()


@extend_schema_field(OpenApiTypes.OBJECT)
class RuleThen(serializers.JSONField):
    """The rule as it stood."""


class QuoteOut(serializers.Serializer[Any]):
    """A price that was taken, how long it holds, and what it was made of."""

    id = serializers.IntegerField()
    currency = serializers.CharField()
    price = Price()
    taken_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    values = QuotedValue(many=True)
    rule = RuleThen()


class ManualPriceOut(serializers.Serializer[Any]):
    """A price that somebody gave, and who confirmed or withdrew it."""

    id = serializers.IntegerField()
    source_id = serializers.IntegerField()
    currency = serializers.CharField(source="source.currency")
    state = serializers.ChoiceField(choices=STATES)
    price = Price()
    note = serializers.CharField()
    given_by = Username()
    given_at = serializers.DateTimeField()
    confirmed_by = Username(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    withdrawn_by = Username(allow_null=True)
    withdrawn_at = serializers.DateTimeField(allow_null=True)
