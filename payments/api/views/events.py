"""The feed of a program: followed by number, without a gap."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.pagination import NumberOrder
from payments.api import filters
from payments.api.serializers.event import EventOut
from payments.api.views.scoped import ScopedList
from payments.models import Event
from payments.selectors import events as selector


class EventList(ScopedList):
    """What happened in a program."""

    serializer_class = EventOut
    filterset_class = filters.Events
    pagination_class = NumberOrder
    queryset = Event.objects.none()

    def get_queryset(self) -> QuerySet[Any]:
        """Return the events of the program in the address."""
        return selector.of_program(self.kwargs["program_id"])

    @extend_schema(operation_id="events_list", tags=["events"], responses={200: EventOut(many=True)})
    def get(self, request: Request, program_id: int) -> Response:
        """List changes of lists, payments, payouts and interventions by number, from the one behind ``after`` on.

        Numbers begin at 1 and have no gap. Whoever asks with the last number that they have seen misses nothing, whenever
        it was committed; what has just happened has its number within seconds.
        """
        return self.page(request)
