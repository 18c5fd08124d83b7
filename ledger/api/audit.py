"""Audit events over HTTP: read-only, searched by whoever may read them, newest first."""

from typing import Any

from django.db.models import F, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from govpay.errors import NotFound
from ledger.models import AuditEvent, Door
from ledger.reports.audit import RIGHT


class MayReadEvents(BasePermission):
    """Whoever holds the right sees the events of all programs."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the user may read audit events."""
        return request.user.is_authenticated and request.user.has_perm(RIGHT)


class AuditEventOut(serializers.Serializer[Any]):
    """Who did what, when, why and through which door."""

    id = serializers.IntegerField()
    recorded_at = serializers.DateTimeField()
    actor = serializers.CharField(help_text="A user's name, engine, command:NAME, or nobody.")
    actor_id = serializers.CharField(allow_blank=True, help_text="The user's number.")
    door = serializers.ChoiceField(choices=Door.choices)
    action = serializers.CharField(help_text="Such as list.approve; it never changes its meaning.")
    subject_kind = serializers.CharField(allow_blank=True)
    subject_id = serializers.CharField(allow_blank=True)
    scope = serializers.CharField(allow_blank=True, help_text="Such as program:1; empty where it is of none.")
    request_id = serializers.CharField(allow_blank=True, help_text="As log lines name it.")
    reason = serializers.CharField(allow_blank=True, help_text="A person's words; what leaves has a hash.")
    before_sha256 = serializers.RegexField(
        "^[0-9a-f]{64}$", allow_null=True, help_text="Of the row before, as canonical JSON."
    )
    after_sha256 = serializers.RegexField("^[0-9a-f]{64}$", allow_null=True, help_text="Of the row after.")
    leaf = serializers.IntegerField(
        allow_null=True, help_text="Its place in the tree of the books, once it is sealed; the first is 0."
    )

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Write hashes as hex."""
        hashes = {
            name: None if instance[name] is None else bytes(instance[name]).hex()
            for name in ("before_sha256", "after_sha256")
        }
        return super().to_representation(instance | hashes)


class AuditEventFilter(filters.FilterSet):
    """By who, what, of what, which program, through which door, and when."""

    actor = filters.CharFilter(max_length=150)
    action = filters.CharFilter(max_length=60, help_text="Such as list.approve.")
    door = filters.ChoiceFilter(choices=Door.choices)
    scope = filters.CharFilter(max_length=40, help_text="A program's, such as program:1.")
    subject = filters.CharFilter(
        method="of_subject",
        max_length=81,
        help_text="Such as disbursement:12, or all of a kind: disbursement.",
    )
    request_id = filters.CharFilter(max_length=64)
    since = filters.IsoDateTimeFilter("recorded_at", lookup_expr="gte")
    before = filters.IsoDateTimeFilter("recorded_at", lookup_expr="lt")

    class Meta:
        model = AuditEvent
        fields: list[str] = []

    def of_subject(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Keep the events of a row, or of a kind of rows."""
        kind, colon, number = value.partition(":")
        rows = rows.filter(subject_kind=kind)
        return rows.filter(subject_id=number) if colon else rows


COLUMNS = tuple(AuditEventOut().fields)


def _rows() -> QuerySet[Any, Any]:
    rows: QuerySet[Any, Any] = AuditEvent.objects.annotate(leaf=F("leaves__index")).values(*COLUMNS)
    return rows


@extend_schema_view(get=extend_schema(operation_id="audit_events_list", tags=["audit"]))
class AuditEvents(ListAPIView[Any]):
    """Acts of people, commands and the engine, latest first."""

    permission_classes = [MayReadEvents]
    serializer_class = AuditEventOut
    filterset_class = AuditEventFilter

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return plain rows: one statement whatever the page holds."""
        return _rows()


class AuditEventDetail(APIView):
    """One act."""

    permission_classes = [MayReadEvents]

    @extend_schema(operation_id="audit_events_retrieve", tags=["audit"], responses={200: AuditEventOut})
    def get(self, request: Request, pk: int) -> Response:
        """Return an audit event."""
        row = _rows().filter(pk=pk).first()
        if row is None:
            raise NotFound(f"There is no audit event {pk}.")
        return Response(AuditEventOut(row).data)
