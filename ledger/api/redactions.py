"""Redactions over HTTP: seen by readers of the books, asked for and agreed to by two who may."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ledger import selectors
from ledger.api import access, filters
from ledger.api.repetition import Idempotent
from ledger.api.serializers import Strict, body
from ledger.seals import redaction

MAX_ID = 2**63 - 1
NOT_SEALED: Any = {
    (404, "application/problem+json"): OpenApiResponse(
        {"$ref": "#/components/schemas/Problem"}, "There is no such leaf, or the entry is not sealed yet."
    )
}


class Redaction(serializers.Serializer[Any]):
    """What somebody asked to have blacked out, and who agreed."""

    id = serializers.IntegerField()
    leaf = serializers.IntegerField(source="leaf_id", help_text="Its place in the tree; the first is 0.")
    entry_id = serializers.IntegerField(allow_null=True, help_text="The entry that the leaf is of, if any.")
    run_id = serializers.IntegerField(
        allow_null=True, help_text="The run of reconciliation that the leaf is of, if any."
    )
    period_id = serializers.IntegerField(
        allow_null=True, help_text="The period, if the leaf is of what was done with one."
    )
    event_id = serializers.IntegerField(
        allow_null=True, help_text="The audit event that the leaf is of, if any."
    )
    why = serializers.CharField()
    asked_by = serializers.CharField()
    asked_at = serializers.DateTimeField()
    approved_by = serializers.CharField(allow_null=True, help_text="Who agreed to this request.")
    redacted_at = serializers.DateTimeField(allow_null=True)
    is_redacted = serializers.BooleanField(
        help_text="Whether the leaf is blacked out, by this request or by another one."
    )


class RedactionAsked(Strict):
    """An entry, or a leaf of another kind by its place, and why it is to be blacked out."""

    entry_id = serializers.IntegerField(required=False, min_value=1, max_value=MAX_ID)
    leaf = serializers.IntegerField(required=False, min_value=0, max_value=MAX_ID)
    why = serializers.CharField(
        max_length=redaction.MOST_WHY, help_text="Without personal data: it is shown in packs."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the fields; raise ValidationError unless they name one thing."""
        if ("entry_id" in attrs) == ("leaf" in attrs):
            raise serializers.ValidationError({"entry_id": "Name an entry or a leaf, and only one of them."})
        return attrs


class RedactionConsent(Strict):
    """Agreeing says nothing more: what was asked is never changed."""


class MayRedact(access.MayReadBooks):
    """Readers of the books look; those who may black out besides ask and agree."""

    to_post = redaction.RIGHT


COLUMNS = tuple(str(field.source) for field in Redaction().fields.values())


@extend_schema_view(get=extend_schema(operation_id="ledger_redactions_list", tags=["ledger"]))
class Redactions(Idempotent, ListAPIView[Any]):  # type: ignore[misc]
    """What was asked to be blacked out, latest first."""

    permission_classes = [MayRedact]
    serializer_class = Redaction
    filterset_class = filters.Redactions

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return plain rows: one statement whatever the page holds."""
        rows: QuerySet[Any, Any] = selectors.redaction_requests().values(*COLUMNS)
        return rows

    @extend_schema(
        operation_id="ledger_redactions_ask",
        tags=["ledger"],
        filters=False,
        request=RedactionAsked,
        responses={201: Redaction, **NOT_SEALED},
    )
    def post(self, request: Request) -> Response:
        """Ask that the salt and the sealed bytes of a leaf are deleted; another person agrees."""
        asked = body(RedactionAsked, request)
        made = redaction.ask(
            by=_user(request), why=asked["why"], entry_id=asked.get("entry_id"), index=asked.get("leaf")
        )
        return _answer(made.pk, status.HTTP_201_CREATED)


class RedactionDetail(APIView):
    """One redaction."""

    permission_classes = [access.MayReadBooks]

    @extend_schema(operation_id="ledger_redactions_retrieve", tags=["ledger"], responses={200: Redaction})
    def get(self, request: Request, pk: int) -> Response:
        """Return what was asked, why, and who agreed."""
        return _answer(pk)


class AgreeToRedaction(Idempotent, APIView):  # type: ignore[misc]
    """Agrees to what was asked."""

    permission_classes = [MayRedact]

    @extend_schema(
        operation_id="ledger_redactions_agree",
        tags=["ledger"],
        request=RedactionConsent,
        responses={200: Redaction},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Agree as a second person: salt and bytes, and the files of packs, are deleted for good with that."""
        body(RedactionConsent, request)
        redaction.carry_out(by=_user(request), request_id=pk)
        return _answer(pk)


def _answer(pk: int, http_status: int = status.HTTP_200_OK) -> Response:
    return Response(Redaction(selectors.get_redaction_request(pk, *COLUMNS)).data, http_status)


def _user(request: Request) -> Any:
    return request.user
