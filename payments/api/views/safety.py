"""The stop switch, which many may throw and few may lift, and alarms, which somebody must own."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import Idempotent
from govpay.api.serializers import Nothing
from govpay.errors import NotFound
from payments.api import filters
from payments.api.serializers import safety as serializers
from payments.api.views.scoped import Scoped, ScopedList
from payments.models import Alarm, Stop
from payments.services import alarms, stops


def _stop_exists(*, user: Any, stop_id: int) -> None:
    """Stops belong to no program; whoever may throw or lift one may know of it."""
    if not (stops.may_throw(user) or stops.may_lift(user)):
        raise NotFound("There is no such stop.")


def _alarm_exists(*, user: Any, alarm_id: int) -> None:
    if not alarms.visible(user).filter(pk=alarm_id).exists():
        raise NotFound("There is no such alarm in your programs.")


class StopList(Idempotent, ScopedList):
    """All stops there were, and a new one."""

    serializer_class = serializers.StopOut
    queryset = Stop.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return every stop to whoever may throw or lift one."""
        user: Any = self.request.user
        may_know = stops.may_throw(user) or stops.may_lift(user)
        return Stop.objects.select_related("thrown_by", "lifted_by") if may_know else Stop.objects.none()

    @extend_schema(
        operation_id="stops_list", tags=["safety"], responses={200: serializers.StopOut(many=True)}
    )
    def get(self, request: Request) -> Response:
        """List stops, newest first."""
        return self.page(request)

    @extend_schema(
        operation_id="stops_create",
        tags=["safety"],
        request=serializers.StopReason,
        responses={201: serializers.StopOut},
    )
    def post(self, request: Request) -> Response:
        """Stop the engine: nothing is sealed, signed or sent until somebody else lifts it."""
        body = serializers.StopReason(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        stop = stops.throw(by=by, reason=body.validated_data["reason"])
        return Response(serializers.StopOut(stop).data, status.HTTP_201_CREATED)


class StopLift(Idempotent, Scoped):
    """The way back."""

    scope = staticmethod(_stop_exists)

    @extend_schema(
        operation_id="stops_lift",
        tags=["safety"],
        request=serializers.StopReason,
        responses={200: serializers.StopOut},
    )
    def post(self, request: Request, stop_id: int) -> Response:
        """Let the engine go on; another person than the one who stopped it."""
        body = serializers.StopReason(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        stop = stops.lift(by=by, stop_id=stop_id, reason=body.validated_data["reason"])
        return Response(serializers.StopOut(stop).data)


class AlarmList(ScopedList):
    """The alarms of the user's programs, and those about node and engine."""

    serializer_class = serializers.AlarmOut
    filterset_class = filters.Alarms
    queryset = Alarm.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return what the user may see."""
        return alarms.visible(self.request.user)

    @extend_schema(
        operation_id="alarms_list", tags=["safety"], responses={200: serializers.AlarmOut(many=True)}
    )
    def get(self, request: Request) -> Response:
        """List alarms, newest first."""
        return self.page(request)


class AlarmRead(Scoped):
    """One alarm."""

    scope = staticmethod(_alarm_exists)

    @extend_schema(operation_id="alarms_read", tags=["safety"], responses={200: serializers.AlarmOut})
    def get(self, request: Request, alarm_id: int) -> Response:
        """Return an alarm."""
        return Response(serializers.AlarmOut(alarms.visible(request.user).get(pk=alarm_id)).data)


class AlarmTake(Idempotent, Scoped):
    """Whose it is."""

    scope = staticmethod(_alarm_exists)

    @extend_schema(
        operation_id="alarms_take",
        tags=["safety"],
        request=Nothing,
        responses={200: serializers.AlarmOut},
    )
    def post(self, request: Request, alarm_id: int) -> Response:
        """Become the alarm's owner."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        by: Any = request.user
        return Response(serializers.AlarmOut(alarms.take(by=by, alarm_id=alarm_id)).data)


class AlarmClose(Idempotent, Scoped):
    """That it is done with."""

    scope = staticmethod(_alarm_exists)

    @extend_schema(
        operation_id="alarms_close",
        tags=["safety"],
        request=serializers.AlarmNote,
        responses={200: serializers.AlarmOut},
    )
    def post(self, request: Request, alarm_id: int) -> Response:
        """Close an alarm with what was found; it opens anew when its cause is seen again."""
        body = serializers.AlarmNote(data=request.data)
        body.is_valid(raise_exception=True)
        by: Any = request.user
        closed = alarms.close(by=by, alarm_id=alarm_id, note=body.validated_data["note"])
        return Response(serializers.AlarmOut(closed).data)
