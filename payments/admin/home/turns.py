"""The first page of the admin: the node's state, what waits for whom, and what is stuck."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest

from payments.admin import cells, scope, trusts, waiting
from payments.admin.tables import Notice, Table
from payments.models import (
    Alarm,
    Disbursement,
    Intervention,
    Payout,
    PriceBreaker,
    Program,
    Proposal,
    Role,
    SigningRequest,
    Wallet,
)
from payments.models.program import LIMITED
from payments.models.signing import RequestState
from payments.selectors import interventions, node, prices, proposals
from payments.services import alarms, signing
from payments.services.proposals import KINDS
from payments.states import DisbursementStatus, PayoutStatus

SHOWN = 20


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add what the first page shows to somebody who works in a program."""
    to_decide = trusts.to_decide(request)
    if not scope.may_look(request, *LIMITED):
        return context | ({"tables": to_decide} if to_decide else {})
    context["notices"] = _alarm_notices(request) + node_notices() + _wallet_notices(request)
    works_on_lists = _may_open(request, Disbursement)
    context["tables"] = [
        *([_your_turn(request)] if works_on_lists else []),
        *_asked(request),
        *_proposed(request),
        *_priced(request),
        *to_decide,
        *_to_sign(request),
        *waiting.table(request),
        *([_stuck(request)] if works_on_lists else []),
        _programs(request),
        *([_alarms(request)] if _may_open(request, Alarm) else []),
    ]
    return context


def _may_open(request: HttpRequest, model: type[Model]) -> bool:
    """Say whether the user's roles open the list, which a table would lead to."""
    return admin.site.get_model_admin(model).has_view_permission(request)


def _open_alarms(request: HttpRequest) -> QuerySet[Alarm]:
    every = scope.sees_everything(request)
    rows = Alarm.objects.select_related("owner", "program") if every else alarms.visible(request.user)
    return rows.filter(closed_at=None).order_by("pk")


def _alarm_notices(request: HttpRequest) -> list[Notice]:
    rows = _open_alarms(request)
    count, unowned = rows.count(), rows.filter(owner=None).count()
    if not count:
        return []
    text = f"Without an owner: {unowned:,}. They are listed at the end of this page."
    return [Notice(text, cells.BAD, f"Open alarms: {count:,}")]


def _alarms(request: HttpRequest) -> Table:
    """List what somebody must look at, the oldest first."""
    rows = _open_alarms(request)
    return Table(
        "Open alarms",
        ("Alarm", "Program", "About", "What", "Since", "Seen", "Owner"),
        [
            (
                cells.link(alarm, alarm.code.replace("_", " ").capitalize()),
                str(alarm.program or "all"),
                f"{alarm.subject} {alarm.subject_id or ''}".strip().capitalize(),
                cells.long(alarm.message),
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
    }.get(look.code, f"The {look.network} node cannot be used")
    return [Notice(f"{look.message} {goes_on}", cells.BAD, title)]


def _wallet_notices(request: HttpRequest) -> list[Notice]:
    missing = scope.limit(request, Wallet.objects.filter(ready_at=None), "program")
    names = list(missing.order_by("name").values_list("name", flat=True)[:SHOWN])
    if not names:
        return []
    text = f"{', '.join(names)}: the engine makes a wallet as soon as the node answers."
    return [Notice(text, cells.BUSY, "Wallets that the node does not have yet")]


def _your_turn(request: HttpRequest) -> Table:
    """List what the user's own role can move on, and what the user did not make."""
    user_id = request.user.pk
    held = scope.roles(request)
    turn = Q(pk__in=[])
    for role, mine in (
        (Role.OFFICER, Q(status=DisbursementStatus.DRAFT, made_by=user_id)),
        (Role.APPROVER, Q(status=DisbursementStatus.SUBMITTED) & ~Q(made_by=user_id)),
        (
            Role.RELEASER,
            Q(status=DisbursementStatus.APPROVED) & ~Q(made_by=user_id) & ~Q(approved_by=user_id),
        ),
    ):
        turn |= mine & Q(program__in=[program_id for program_id, roles in held.items() if role in roles])
    rows = Disbursement.objects.filter(turn).select_related("program", "cycle", "made_by").order_by("pk")
    return Table(
        "Waits for you",
        ("List", "Program", "Cycle", "Status", "Payments", "Total", "Made by"),
        [
            (
                cells.link(d, f"List {d.pk}"),
                str(d.program),
                str(d.cycle),
                cells.status_of(d),
                cells.number(d.payment_count),
                cells.money(d.total, d.program),
                cells.person(d.made_by),
            )
            for d in rows[:SHOWN]
        ],
        "No list waits for you.",
        cells.list_of(Disbursement),
        "Show all lists",
    )


def _asked(request: HttpRequest) -> list[Table]:
    """List the interventions that the user may decide, where there are any."""
    rows = interventions.waiting_for(request.user).order_by("pk")[:SHOWN]
    found = [
        (
            cells.link(row, f"Intervention {row.pk}"),
            str(row.wallet.program),
            row.get_kind_display(),
            cells.link(row.payout, f"Payout {row.payout_id}") if row.payout else cells.link(row.wallet),
            cells.person(row.proposed_by),
            cells.long(row.note),
        )
        for row in rows
    ]
    headers = ("Intervention", "Program", "Asked for", "About", "By", "Reason")
    url = cells.list_of(Intervention, turn="mine")
    return [Table("Waits for your decision", headers, list(found), more_url=url)] if found else []


def _proposed(request: HttpRequest) -> list[Table]:
    """List the changes of rules and roles that the user may confirm, where there are any."""
    rows = proposals.waiting_for(request.user).order_by("pk")[:SHOWN]
    found = [
        (
            cells.link(row, f"Proposal {row.pk}"),
            str(row.program or "all"),
            KINDS[row.kind].label,
            cells.person(row.about),
            cells.person(row.proposed_by),
            cells.long(row.note),
        )
        for row in rows
    ]
    headers = ("Proposal", "Program", "Change", "About", "By", "Reason")
    url = cells.list_of(Proposal, turn="mine")
    return [Table("Waits for your confirmation", headers, list(found), more_url=url)] if found else []


def _priced(request: HttpRequest) -> list[Table]:
    """List the prices by hand and the breakers that wait for the user, where there are any."""
    found = [
        (
            cells.link(row, str(row).capitalize()),
            row.rule.currency if isinstance(row, PriceBreaker) else row.source.currency,
            cells.person(row.asked_by if isinstance(row, PriceBreaker) else row.given_by),
            cells.long(row.close_note if isinstance(row, PriceBreaker) else row.note),
        )
        for row in prices.waiting_for(request.user)[:SHOWN]
    ]
    return [Table("Prices wait for you", ("What", "Currency", "By", "Reason"), list(found))] if found else []


def _to_sign(request: HttpRequest) -> list[Table]:
    """List the signing requests that the user carries to signers and back, the next deadline first."""
    carried = [number for number, held in scope.roles(request).items() if held & set(signing.CARRIERS)]
    requests: QuerySet[Any] = SigningRequest.objects.filter(version__payout__wallet__program__in=carried)
    rows: Any = requests.with_state()  # type: ignore[attr-defined]
    rows = rows.filter(state__in=(RequestState.WAITING, RequestState.OVERDUE))
    rows = rows.annotate(signed_count=Count("signatures")).select_related("version__payout__wallet__program")
    rows = rows.defer("psbt", "version__raw", "version__unsigned_tx").order_by("deadline_at", "pk")
    found = [
        (
            cells.link(row, f"Request {row.pk}"),
            str(row.version.payout.wallet.program),
            cells.link(row.version.payout, f"Payout {row.version.payout_id}"),
            f"{row.signed_count} of {row.needed}",
            cells.moment(row.deadline_at),
        )
        for row in rows[:SHOWN]
    ]
    headers = ("Request", "Program", "Payout", "Signed", "Deadline")
    url = cells.list_of(SigningRequest)
    return [Table("Waits for signers, through you", headers, list(found), more_url=url)] if found else []


def _stuck(request: HttpRequest) -> Table:
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


def _programs(request: HttpRequest) -> Table:
    programs = scope.limit(request, Program.objects.order_by("code"), "pk", *LIMITED)
    return Table(
        "Your programs",
        ("Program", "Name", "Your roles"),
        [
            (
                cells.link(program),
                cells.long(program.name),
                cells.join(
                    *(
                        cells.label(role, Role(role).label, cells.INFO)
                        for role in sorted(scope.roles(request).get(program.pk, ()))
                    )
                ),
            )
            for program in programs[:SHOWN]
        ],
        "You belong to no program yet. An administrator gives you a role in one.",
        cells.list_of(Program),
    )
