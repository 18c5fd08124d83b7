"""The first page of the admin: what waits for whom, where the money is, the chain's weather, what is wrong; kept live.

The part that lives is one fragment, which the page asks for every few seconds (ADR 62). It is sent when it is another than
the one that is shown, and what is new in it is said in a sentence beside it.
"""

import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from govpay import fragments
from govpay.said import said
from payments.admin import scope, trusts
from payments.admin.home import climate, money, switch, trouble, turns
from payments.models import Alarm, Disbursement, NodeStatus, Stop
from payments.models.program import LIMITED

EVERY_S = 5
ADDRESS = "admin:payments_home_live"
FRAGMENT = "payments/admin/home/live.html"
MOST_DIGITS = 9


@dataclass(frozen=True)
class Live:
    """The fragment as it is now, its hash, and the address that asks whether it is still that."""

    inner: SafeString
    every_s: int
    url: str


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add what the first page shows to somebody who works in a program; others see what they may open."""
    if not scope.may_look(request, *LIMITED):
        to_decide = trusts.to_decide(request)
        return context | ({"tables": to_decide} if to_decide else {})
    found = _shown(request)
    return context | found | {"live": _live(found), "is_paused": request.GET.get("live") == "off"}


def urls(model_admin: Any) -> list[URLPattern]:
    """Return the address of the fragment."""
    view = model_admin.admin_site.admin_view(live)
    return [path("live/", view, name=ADDRESS.partition(":")[2])]


@never_cache
@require_GET
def live(request: HttpRequest) -> HttpResponse:
    """Send the fragment, and what is new in it; nothing while it is what the page shows already.

    Nothing is written, the session neither: somebody who only looks on is idle.
    """
    if not scope.may_look(request, *LIMITED):
        return HttpResponse(status=fragments.UNCHANGED)
    found = _shown(request)
    now = _live(found)
    if f"seen={request.GET.get('seen', '')}&" in now.url:
        return HttpResponse(status=fragments.UNCHANGED)
    context = {"live": now, "news": _news(request, found["counts"])}
    return HttpResponse(render_to_string("payments/admin/home/polled.html", context))


def _shown(request: HttpRequest) -> dict[str, Any]:
    """Return all that the fragment shows: a constant number of statements."""
    works_on_lists = _may_open(request, Disbursement)
    alarm_count, unowned = trouble.count_alarms(request)
    waits = [*([turns.lists(request)] if works_on_lists else []), *turns.decisions(request)]
    sees_money = scope.may_look(request)
    stop = switch.switch(request) if _may_open(request, Stop) else None
    return {
        "notices": [
            *trouble.alarm_notices(alarm_count, unowned),
            *trouble.node_notices(),
            *trouble.wallet_notices(request),
        ],
        "tables": [
            *waits,
            *([trouble.stuck(request)] if works_on_lists else []),
            turns.programs(request),
            *([trouble.open_alarms(request)] if _may_open(request, Alarm) else []),
        ],
        # Help desk and security administrators see no money.
        "balances": [money.balances(request)] if sees_money else [],
        "pipeline": [money.lists(request), money.payouts(request)] if sees_money else [],
        "switch": stop,
        "climate": climate.climate() if _may_open(request, NodeStatus) else None,
        "counts": {
            "alarms": alarm_count,
            "waits": sum(len(table.rows) for table in waits),
            "stops": int(stop is not None and stop.is_stopped),
        },
    }


def _may_open(request: HttpRequest, model: type[Model]) -> bool:
    """Say whether the user's roles open the list, which a table would lead to."""
    return admin.site.get_model_admin(model).has_view_permission(request)


def _live(found: dict[str, Any]) -> Live:
    inner = render_to_string(FRAGMENT, found)
    seen = hashlib.sha256(inner.encode()).hexdigest()
    return Live(inner, EVERY_S, f"{reverse(ADDRESS)}?{urlencode({'seen': seen, **found['counts']})}")


def _news(request: HttpRequest, counts: dict[str, int]) -> str:
    """Say what is more than it was: only that is worth interrupting whoever listens to the page."""
    news = []
    if (more := counts["alarms"] - _before(request, "alarms", counts)) > 0:
        news.append("1 more alarm is open." if more == 1 else f"{more:,} more alarms are open.")
    if (more := counts["waits"] - _before(request, "waits", counts)) > 0:
        news.append("1 more thing waits for you." if more == 1 else f"{more:,} more things wait for you.")
    if (change := counts["stops"] - _before(request, "stops", counts)) != 0:
        news.append("The engine was stopped." if change > 0 else "The engine runs again.")
    return " ".join(said(each) for each in news)


def _before(request: HttpRequest, name: str, counts: dict[str, int]) -> int:
    """Return what the page showed; what it does not say is no news."""
    given = request.GET.get(name, "")
    is_number = given.isascii() and given.isdecimal() and len(given) <= MOST_DIGITS
    return int(given) if is_number else counts[name]
