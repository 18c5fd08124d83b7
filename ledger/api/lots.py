"""What bitcoin institutions acquired and disposed of, over HTTP: read by readers of the books, recorded by who may."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from ledger.api import access, pages
from ledger.api.repetition import Idempotent
from ledger.api.serializers import Strict, body
from ledger.law.tax import TABLES
from ledger.models import LotMovement, MovementKind
from ledger.models.lot import MOST_MINOR, MOST_SAT, PERSON, REFERENCE, SCOPE
from ledger.treasury import movements
from ledger.treasury.lots import Movement

MOST_AT_ONCE = 1_000
JURISDICTIONS = [(name, table.title) for name, table in TABLES.items()]


class LotMovementOut(serializers.Serializer[Any]):
    """Bitcoin that an institution acquired or disposed of."""

    id = serializers.IntegerField()
    scope = serializers.CharField(help_text="The institution, such as trust:1.")
    kind = serializers.ChoiceField(choices=MovementKind.choices)
    effective_at = serializers.DateTimeField()
    amount_sat = serializers.IntegerField()
    currency = serializers.CharField()
    scale = serializers.IntegerField(help_text="How many digits the minor unit has.")
    value_minor = serializers.IntegerField(help_text="The cost with fees, or the proceeds without them.")
    reference = serializers.CharField()
    person = serializers.CharField(help_text="For whom, by a number; empty for nobody.")
    jurisdiction = serializers.CharField(help_text="Which taxes the disposal; empty for an acquisition.")
    recorded_at = serializers.DateTimeField()


class NewMovement(Strict):
    """An acquisition or a disposal."""

    kind = serializers.ChoiceField(choices=MovementKind.choices)
    effective_at = serializers.DateTimeField()
    amount_sat = serializers.IntegerField(min_value=1, max_value=MOST_SAT)
    value_minor = serializers.IntegerField(
        min_value=0, max_value=MOST_MINOR, help_text="The cost with fees, or the proceeds without them."
    )
    reference = serializers.RegexField(REFERENCE, help_text="What the institution calls the act, once.")
    person = serializers.RegexField(
        PERSON,
        required=False,
        allow_blank=True,
        default="",
        max_length=40,
        help_text="Of a disposal for somebody: a number such as enrollment:12, never a name.",
    )
    jurisdiction = serializers.ChoiceField(
        JURISDICTIONS, required=False, allow_blank=True, default="", help_text="Of a disposal: who taxes it."
    )


class NewMovements(Strict):
    """What an institution acquired and disposed of; at the same moment in this order."""

    scope = serializers.RegexField(SCOPE, help_text="The institution, such as trust:1.")
    currency = serializers.RegexField("^[A-Z]{3}$")
    scale = serializers.IntegerField(
        min_value=0, max_value=4, help_text="How many digits its minor unit has."
    )
    movements = NewMovement(many=True, min_length=1, max_length=MOST_AT_ONCE)  # type: ignore[call-arg]


class Recorded(serializers.Serializer[Any]):
    """How many were recorded."""

    count = serializers.IntegerField()


class MayRecord(access.MayReadBooks):
    """Readers of the books look; those who may record lots besides record them."""

    to_post = movements.RIGHT


class LotFilter(filters.FilterSet):
    """By institution, kind, or the whole reference."""

    scope = filters.CharFilter(max_length=40)
    kind = filters.ChoiceFilter(choices=MovementKind.choices)
    reference = filters.CharFilter(max_length=60)

    class Meta:
        model = LotMovement
        fields: list[str] = []


ROW = tuple(LotMovementOut().fields)


@extend_schema_view(get=extend_schema(operation_id="ledger_lots_list", tags=["ledger"]))
class LotMovements(Idempotent, ListAPIView[Any]):  # type: ignore[misc]
    """What was acquired and disposed of, in the order in which it was recorded."""

    permission_classes = [MayRecord]
    serializer_class = LotMovementOut
    pagination_class = pages.OldestFirst
    filterset_class = LotFilter

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return plain rows: one statement whatever the page holds."""
        rows: QuerySet[Any, Any] = LotMovement.objects.values(*ROW)
        return rows

    @extend_schema(
        operation_id="ledger_lots_record",
        tags=["ledger"],
        filters=False,
        request=NewMovements,
        responses={
            201: Recorded,
            (409, "application/problem+json"): OpenApiResponse(
                {"$ref": "#/components/schemas/Problem"}, "More is disposed of than there is at that moment."
            ),
        },
    )
    def post(self, request: Request) -> Response:
        """Record up to 1,000 at once, all of them or none."""
        given = body(NewMovements, request)
        by: Any = request.user
        count = movements.record(
            by=by,
            scope=given["scope"],
            currency=given["currency"],
            scale=given["scale"],
            movements=[
                Movement(
                    each["effective_at"],
                    each["kind"] == MovementKind.ACQUISITION,
                    each["amount_sat"],
                    each["value_minor"],
                    each["reference"],
                    each["person"],
                    each["jurisdiction"],
                )
                for each in given["movements"]
            ],
        )
        return Response({"count": count}, status.HTTP_201_CREATED)
