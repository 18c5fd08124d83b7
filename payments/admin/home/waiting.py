"""What waits for somebody besides lists: how many of each kind the user may decide or work on, with the way to them."""

from typing import Any

from django.db.models import Model, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from govpay.login import lockout
from govpay.models import FailedLogin
from govpay.said import said
from payments.admin import account_change, cells, scope
from payments.admin.tables import Table
from payments.models import (
    Appeal,
    AppealOutcome,
    BankAccount,
    ChangeOutcome,
    DestinationChange,
    Enrollment,
    Entitlement,
    Erasure,
    ErasureOutcome,
    Grievance,
    ImportJob,
    InflowClassing,
    Institution,
    PurchasePlan,
    Role,
    Warrant,
)
from payments.reserve import tasks
from payments.services import bank_accounts, budgets, destinations, erasures, grievances, prices
from payments.states import EntitlementStatus, GrievanceStatus, ImportStatus, PaymentStatus, WarrantStatus


def table(request: HttpRequest) -> list[Table]:
    """Return one table of the kinds of work that wait, or none where nothing does; one statement for each kind."""
    me = request.user.pk
    people = Enrollment.objects.filter(_in(request, "program", *bank_accounts.DECIDERS))
    # What it is, the rows of the user's programs, whose are left out, and the filter that shows them.
    kinds: list[tuple[str, type[Model], Q, dict[str, str]]] = [
        (
            "Changes of address to decide",
            DestinationChange,
            _in(request, "program", *destinations.DECIDERS)
            & Q(outcome=ChangeOutcome.OPEN)
            & ~Q(proposed_by=me),
            {"outcome__exact": ChangeOutcome.OPEN},
        ),
        (
            "Bank accounts to decide",
            BankAccount,
            Q(beneficiary__in=people.values("beneficiary")) & account_change.OPEN & ~Q(created_by=me),
            {"waits": "yes"},
        ),
        (
            "Appeals to decide",
            Appeal,
            _in(request, "program", Role.APPROVER)
            & Q(outcome=AppealOutcome.OPEN)
            & ~Q(recorded_by=me)
            & ~Q(excluded_by=me),
            {"outcome__exact": AppealOutcome.OPEN},
        ),
        (
            "Steps of a budget to decide",
            Warrant,
            _in(request, "period__program", *budgets.DECIDERS)
            & Q(status=WarrantStatus.PROPOSED)
            & ~Q(proposed_by=me),
            {"status__exact": WarrantStatus.PROPOSED},
        ),
        (
            "Imports whose columns are to be named",
            ImportJob,
            Q(made_by=me, status=ImportStatus.MAPPING),
            {"status__exact": ImportStatus.MAPPING},
        ),
        (
            "Imports to confirm",
            ImportJob,
            Q(made_by=me, status=ImportStatus.READY),
            {"status__exact": ImportStatus.READY},
        ),
        (
            "Grievances that nobody has taken",
            Grievance,
            _in(request, "program", *grievances.HANDLERS) & Q(status=GrievanceStatus.LODGED),
            {"status__exact": GrievanceStatus.LODGED},
        ),
        (
            "Claims to be listed",
            Entitlement,
            _in(request, "payment__disbursement__program", Role.OFFICER)
            & Q(status=EntitlementStatus.CLAIMED)
            # Not those that another list pays, unless that line was withdrawn.
            & (Q(paid_by=None) | Q(paid_by__status=PaymentStatus.CANCELLED)),
            {"status__exact": EntitlementStatus.CLAIMED},
        ),
    ]
    if request.user.has_perm(erasures.PERMISSION):
        mine = Q(program__in=scope.reads(request), outcome=ErasureOutcome.OPEN) & ~Q(asked_by=me)
        kinds.append(("Erasures to decide", Erasure, mine, {"outcome__exact": ErasureOutcome.OPEN}))
    user: Any = request.user
    if prices.may_keep(user):
        classings = Q(confirmed_at=None, withdrawn_at=None) & ~Q(given_by=me)
        kinds.append(("What outputs came for, to confirm", InflowClassing, classings, {}))
        plans = Q(approved_at=None, ended_at=None, ends_at__gt=timezone.now()) & ~Q(proposed_by=me)
        kinds.append(("Purchase plans to approve", PurchasePlan, plans, {}))
    rows: list[tuple[Any, Any]] = [
        (
            format_html('<a class="gp-link" href="{}">{}</a>', cells.list_of(model, **shown), said(what)),
            cells.number(count),
        )
        for what, model, wanted, shown in kinds
        if (count := model._default_manager.filter(wanted).count())
    ]
    if prices.may_keep(user):
        rows += _unclassed()
    if user.has_perm(lockout.UNLOCKS) and (locked := lockout.count_locked()):
        where = cells.list_of(FailedLogin)
        text = said("User names that are locked out")
        rows.append((format_html('<a class="gp-link" href="{}">{}</a>', where, text), cells.number(locked)))
    return [Table("Also waits", ("What", "How many"), list(rows))] if rows else []


def _unclassed() -> list[tuple[Any, Any]]:
    """Return how many outputs of each institution nobody has classed, and since when the oldest waits."""
    now = timezone.now()
    return [
        (
            format_html(
                '<a class="gp-link" href="{}">Outputs of {} to class, the oldest for {} days</a>',
                cells.list_of(Institution),
                each.scope,
                (now - each.oldest_at).days,
            ),
            cells.number(each.output_count),
        )
        for each in tasks.waiting()
    ]


def _in(request: HttpRequest, path: str, *roles: str) -> Q:
    """Return the condition of rows whose program is one where the user has one of the roles."""
    held = scope.roles(request).items()
    return Q(**{f"{path}__in": [number for number, mine in held if not mine.isdisjoint(roles)]})
