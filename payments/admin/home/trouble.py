"""What is wrong, for the first page: alarms, the node, wallets that are missing, and what waits or is frozen."""

from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from govpay.said import said
from payments.admin import cells, scope
from payments.admin.tables import Notice, Table
from payments.models import Alarm, Disbursement, Payout, Wallet
from payments.selectors import node
from payments.services import alarms
from payments.states import PayoutStatus

SHOWN = 20


def _open(request: HttpRequest) -> QuerySet[Alarm]:
    every = scope.sees_everything(request)
    rows = Alarm.objects.select_related("owner", "program") if every else alarms.visible(request.user)
    return rows.filter(closed_at=None).order_by("pk")


def count_alarms(request: HttpRequest) -> tuple[int, int]:
    """Return how many alarms are open, and of how many of them nobody is the owner."""
    found = _open(request).aggregate(every=Count("pk"), unowned=Count("pk", filter=Q(owner=None)))
    return found["every"], found["unowned"]


def alarm_notices(count: int, unowned: int) -> list[Notice]:
    """Say that alarms are open, if any are."""
    if not count:
        return []
    text = f"Without an owner: {unowned:,}. They are listed at the end of this page."
    return [Notice(text, cells.BAD, f"Open alarms: {count:,}")]


def open_alarms(request: HttpRequest) -> Table:
    """List what somebody must look at, the oldest first."""
    rows = _open(request)
    return Table(
        "Open alarms",
        ("Alarm", "Program", "About", "What", "Since", "Seen", "Owner"),
        [
            (
                cells.link(alarm, alarm.code.replace("_", " ").capitalize()),
                str(alarm.program or "all"),
                f"{alarm.subject} {alarm.subject_id or ''}".strip().capitalize(),
                cells.long(said(alarm.message)),
                cells.moment(alarm.opened_at),
                "once" if alarm.times == 1 else f"{alarm.times:,} times",
                cells.person(alarm.owner),
            )
            for alarm in rows[:SHOWN]
        ],
        "Nothing is wrong.",
        cells.list_of(Alarm, open="yes"),
        "Show all open alarms",
    )


def node_notices() -> list[Notice]:
    """Say what is wrong with the node, from the last stored look at it; no call is made."""
    look = node.last_look()
    goes_on = "What is released waits and goes on by itself; nothing has to be sent again."
    if look.is_ok:
        return []
    title = {
        "not_checked": "The node's state is not known",
        "stale": "The engine stands still: are the workers running?",
    }.get(look.code, said("The {0} node cannot be used", look.network))
    return [Notice(f"{said(look.message)} {said(goes_on)}", cells.BAD, title)]


def wallet_notices(request: HttpRequest) -> list[Notice]:
    """Say which programs of the user have no wallet yet."""
    missing = scope.limit(request, Wallet.objects.filter(ready_at=None), "program")
    names = list(missing.order_by("name").values_list("name", flat=True)[:SHOWN])
    if not names:
        return []
    text = said("{0}: the engine makes a wallet as soon as the node answers.", ", ".join(names))
    return [Notice(text, cells.BUSY, "Wallets that the node does not have yet")]


def stuck(request: HttpRequest) -> Table:
    """List the lists and payouts that do not go on, with the reason."""
    lists = scope.limit(request, Disbursement.objects.exclude(problem=""), "program")
    payouts = scope.limit(
        request,
        Payout.objects.filter(~Q(problem="") | Q(status=PayoutStatus.FROZEN)),
        "wallet__program",
    )
    rows: list[tuple[Any, ...]] = [
        (cells.link(d, f"List {d.pk}"), str(d.program), cells.status_of(d), cells.problem(d.problem))
        for d in lists.select_related("program").order_by("pk")[:SHOWN]
    ]
    rows += [
        (
            cells.link(p, f"Payout {p.pk}"),
            str(p.wallet.program),
            cells.status_of(p),
            cells.problem(p.problem),
        )
        for p in payouts.select_related("wallet__program").order_by("pk")[:SHOWN]
    ]
    return Table(
        "Waits or is frozen",
        ("What", "Program", "Status", "Why"),
        rows,
        "Nothing is stuck.",
    )
