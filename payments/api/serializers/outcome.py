"""Outcomes of a program, and what it was before."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text, Whole
from payments.api.serializers.fields import Username
from payments.models import OutcomeFigure
from payments.models.outcome import MOST


class OutcomesQuery(StrictSerializer):
    """Which span of time."""

    since = serializers.DateTimeField(
        required=False, help_text="The first moment; else a year before the last."
    )
    before = serializers.DateTimeField(required=False, help_text="The moment after the last; else now.")

    def validate(self, attrs: Any) -> Any:
        if {"since", "before"} <= attrs.keys() and attrs["since"] >= attrs["before"]:
            raise serializers.ValidationError(
                {"before": serializers.ErrorDetail("It must be later than since.", code="span_empty")}
            )
        return attrs


class NewBaseline(StrictSerializer):
    """A figure from before the program, and who says so."""

    figure = serializers.ChoiceField(choices=OutcomeFigure.choices)
    numerator = Whole(min_value=0, max_value=MOST)
    denominator = Whole(min_value=1, max_value=MOST)
    seconds = Whole(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=MOST,
        help_text="Of a figure that is a time: what numerator of denominator payments took.",
    )
    source = Text(max_length=300, help_text="Where the figure is from: a report, its year and page.")  # type: ignore[assignment]


class BaselineOut(serializers.Serializer[Any]):
    """A figure from before the program."""

    id = serializers.IntegerField()
    figure = serializers.ChoiceField(choices=OutcomeFigure.choices)
    numerator = serializers.IntegerField()
    denominator = serializers.IntegerField()
    seconds = serializers.IntegerField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]
    entered_by = Username()
    entered_at = serializers.DateTimeField()


class MeasureOut(serializers.Serializer[Any]):
    """A numerator and its denominator; seconds where the figure is a time."""

    numerator = serializers.IntegerField()
    denominator = serializers.IntegerField()
    seconds = serializers.IntegerField(allow_null=True)


class OutcomeOut(serializers.Serializer[Any]):
    """A figure: the numerator for one of the denominator, or the seconds that so many of so many took.

    A denominator of 0 means that nothing was counted, and the figure says nothing.
    """

    figure = serializers.ChoiceField(choices=OutcomeFigure.choices)
    name = serializers.CharField(source="figure.label")
    numerator = serializers.IntegerField(source="now.numerator")
    denominator = serializers.IntegerField(source="now.denominator")
    seconds = serializers.IntegerField(source="now.seconds", allow_null=True)
    by_rail = serializers.DictField(
        child=MeasureOut(),
        help_text="What it is on each rail on which lists were approved; empty where it is about bitcoin alone, or no rail.",
    )
    baseline = BaselineOut(allow_null=True)


class OutcomesOut(serializers.Serializer[Any]):
    """All figures over a span of time."""

    since = serializers.DateTimeField()
    before = serializers.DateTimeField()
    figures = OutcomeOut(many=True)
