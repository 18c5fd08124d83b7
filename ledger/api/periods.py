"""Periods of the books over HTTP: read by readers of the books, opened, closed and sealed by two who may."""

from typing import Any

from django.db.models import F, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ledger import periods, selectors
from ledger.api import access, pages
from ledger.api.packs import NOT_NOW
from ledger.api.repetition import Idempotent
from ledger.api.serializers import Digest, Strict, body
from ledger.models import PeriodStatus

NO_NAMES = "Why. It is sealed and goes into evidence packs: write nothing about a person."


class Period(serializers.Serializer[Any]):
    """A period of all books, such as a month."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    starts_at = serializers.DateTimeField(
        allow_null=True, help_text="Where the one before ends; empty for the first."
    )
    ends_at = serializers.DateTimeField(help_text="The first moment after it.")
    status = serializers.ChoiceField(choices=PeriodStatus.choices)
    opened_by = serializers.CharField()


class PeriodChange(serializers.Serializer[Any]):
    """Somebody closed, reopened or sealed a period."""

    status = serializers.ChoiceField(choices=PeriodStatus.choices)
    actor = serializers.CharField()
    note = serializers.CharField(allow_blank=True)
    through_entry_id = serializers.IntegerField(help_text="The last entry that stood when it was closed.")
    digest = Digest(allow_null=True, help_text="SHA-256 of the trial balance that was sealed.")
    leaf = serializers.IntegerField(
        source="leaf_index",
        allow_null=True,
        help_text="Its leaf in the tree, by which its note is blacked out; empty until it is sealed.",
    )
    recorded_at = serializers.DateTimeField()


class PeriodWithChanges(Period):
    """A period and what was done with it, in order."""

    changes = PeriodChange(many=True)


class Figures(serializers.Serializer[Any]):
    """What stood at a period's end when it was closed."""

    through_entry_id = serializers.IntegerField(help_text="The last entry that stood when it was closed.")
    entry_count = serializers.IntegerField()
    digest = Digest(help_text="SHA-256 of the trial balance of every layer; sealing names it.")


class NewPeriod(Strict):
    """The period that follows the last one."""

    name = serializers.CharField(max_length=30, trim_whitespace=False, help_text="Such as 2026-10.")
    ends_at = serializers.DateTimeField(help_text="The first moment after it.")


class Why(Strict):
    """Why a period is closed or opened again."""

    note = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=300, help_text=NO_NAMES
    )


class PeriodSeal(Why):
    """The figures that the second person looked at, and why."""

    digest = serializers.RegexField("^[0-9a-f]{64}$", help_text="The digest of the period's figures.")


class MayClose(access.MayReadBooks):
    """Readers of the books look; those who may close periods besides open, close and seal them."""

    to_post = periods.RIGHT


PERIOD = tuple(Period().fields)


@extend_schema_view(get=extend_schema(operation_id="ledger_periods_list", tags=["ledger"]))
class Periods(Idempotent, ListAPIView[Any]):  # type: ignore[misc]
    """The periods of the books in the order in which they were opened."""

    permission_classes = [MayClose]
    serializer_class = Period
    pagination_class = pages.OldestFirst

    def get_queryset(self) -> QuerySet[Any, Any]:
        """Return plain rows: one statement whatever the page holds."""
        rows: QuerySet[Any, Any] = selectors.periods().values(*PERIOD)
        return rows

    @extend_schema(
        operation_id="ledger_periods_open",
        tags=["ledger"],
        request=NewPeriod,
        responses={201: PeriodWithChanges},
    )
    def post(self, request: Request) -> Response:
        """Open the period that follows the last one."""
        opened = periods.open_next(by=_user(request), **body(NewPeriod, request))
        return _answer(opened.pk, status.HTTP_201_CREATED)


class PeriodDetail(APIView):
    """One period."""

    permission_classes = [access.MayReadBooks]

    @extend_schema(
        operation_id="ledger_periods_retrieve", tags=["ledger"], responses={200: PeriodWithChanges}
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return a period and who closed, reopened and sealed it."""
        return _answer(pk)


class PeriodFigures(APIView):
    """What stood at the end of one period."""

    permission_classes = [access.MayReadBooks]

    @extend_schema(
        operation_id="ledger_periods_figures",
        tags=["ledger"],
        responses={200: Figures, **NOT_NOW},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Return the figures of a period that was closed, as it stood then; else 409 `period_state`."""
        return Response(Figures(periods.figures(selectors.get_period(pk=pk))).data)


class _Verb(Idempotent, APIView):  # type: ignore[misc]
    """Something that those who may close periods do with one."""

    permission_classes = [MayClose]


class ClosePeriod(_Verb):
    """Closes a period."""

    @extend_schema(
        operation_id="ledger_periods_close", tags=["ledger"], request=Why, responses={200: PeriodWithChanges}
    )
    def post(self, request: Request, pk: int) -> Response:
        """Close a period that is over: what comes late is dated in the next one; a second person seals it."""
        periods.close(by=_user(request), name=_name(pk), **body(Why, request))
        return _answer(pk)


class ReopenPeriod(_Verb):
    """Opens a closed period again."""

    @extend_schema(
        operation_id="ledger_periods_reopen", tags=["ledger"], request=Why, responses={200: PeriodWithChanges}
    )
    def post(self, request: Request, pk: int) -> Response:
        """Open a period again that was closed and not sealed."""
        periods.reopen(by=_user(request), name=_name(pk), **body(Why, request))
        return _answer(pk)


class SealPeriod(_Verb):
    """Seals a closed period."""

    @extend_schema(
        operation_id="ledger_periods_seal",
        tags=["ledger"],
        request=PeriodSeal,
        responses={200: PeriodWithChanges},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Seal, as a second person and for good, the figures that were looked at."""
        asked = body(PeriodSeal, request)
        asked["digest"] = bytes.fromhex(asked["digest"])
        periods.seal(by=_user(request), name=_name(pk), **asked)
        return _answer(pk)


def _name(pk: int) -> str:
    return str(selectors.get_period(pk=pk).name)


def _answer(pk: int, http_status: int = status.HTTP_200_OK) -> Response:
    period = selectors.get_period(pk=pk)
    shown = {name: getattr(period, name) for name in PERIOD}
    shown["changes"] = period.changes.annotate(leaf_index=F("leaf__index")).order_by("pk")
    return Response(PeriodWithChanges(shown).data, http_status)


def _user(request: Request) -> Any:
    return request.user
