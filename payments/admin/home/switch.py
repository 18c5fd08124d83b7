"""The stop switch, for the first page: its state, and the way to where it is thrown or lifted for those who may."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from govpay.said import said
from payments.admin import cells
from payments.models import Stop
from payments.services import stops


@dataclass(frozen=True)
class Switch:
    """What is in force, in a word and a sentence, and a way on."""

    is_stopped: bool
    state: str
    text: str
    url: str
    verb: str


def switch(request: HttpRequest) -> Switch:
    """Return the switch as it stands."""
    user: Any = request.user
    stop = Stop.objects.filter(is_open=True).select_related("thrown_by").first()
    if stop is None:
        may = stops.may_throw(user)
        return Switch(
            False,
            cells.label("", "running", cells.GOOD),
            "Lists that are released are sealed, signed and sent.",
            reverse("admin:payments_stop_throw") if may else cells.list_of(Stop),
            "Stop the engine" if may else "Who stops it",
        )
    may = stops.may_lift(user) and stop.thrown_by_id != user.pk
    who = stop.thrown_by.get_full_name() or stop.thrown_by.get_username()
    return Switch(
        True,
        cells.label("", "stopped", cells.BAD),
        said("Since {0} UTC, by {1}: {2}", f"{stop.thrown_at:%Y-%m-%d %H:%M}", who, stop.reason),
        reverse("admin:payments_stop_lift", args=[stop.pk]) if may else cells.page_of(stop),
        "Lift the stop" if may else "Look at the stop",
    )
