"""What waits for whoever looks at the first page, by what their roles may do: lists, decisions, signatures, breaks."""

from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from govpay.said import said
from ledger.admin import cells as ledger_cells
from ledger.models import Case, CaseStatus
from ledger.reconciliation import cases
from payments.admin import cells, scope, trusts
from payments.admin.home import waiting
from payments.admin.tables import Table
from payments.models import Disbursement, Intervention, PriceBreaker, Program, Proposal, Role, SigningRequest
from payments.models.program import LIMITED
from payments.models.signing import RequestState
from payments.selectors import interventions, prices, proposals
from payments.services import signing
from payments.services.proposals import KINDS
from payments.states import DisbursementStatus

SHOWN = 20


def decisions(request: HttpRequest) -> list[Table]:
    """Return a table of each kind of work that waits for the user, but for lists; none where nothing does."""
    return [
        *_asked(request),
        *_proposed(request),
        *_priced(request),
        *trusts.to_decide(request),
        *_to_sign(request),
        *_breaks(request),
        *waiting.table(request),
    ]


def lists(request: HttpRequest) -> Table:
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
            said("{0} of {1}", row.signed_count, row.needed),
            cells.moment(row.deadline_at),
        )
        for row in rows[:SHOWN]
    ]
    headers = ("Request", "Program", "Payout", "Signed", "Deadline")
    url = cells.list_of(SigningRequest)
    return [Table("Waits for signers, through you", headers, list(found), more_url=url)] if found else []


def _breaks(request: HttpRequest) -> list[Table]:
    """List the cases that the user may work on: those that nobody else owns, and proposals of others; the oldest first."""
    user: Any = request.user
    if not user.has_perms(["ledger.view_entry", cases.RIGHT]):
        return []
    free = Q(status__in=(CaseStatus.OPEN, CaseStatus.SUSPENDED)) & (Q(owner=None) | Q(owner=user))
    mine = free | (Q(status=CaseStatus.PROPOSED) & ~Q(proposed_by=user))
    rows = list(
        Case.objects.filter(mine).select_related("owner", "last_run").order_by("opened_at", "pk")[:SHOWN]
    )
    names = {program.scope: str(program) for program in Program.objects.all()} if rows else {}
    found = [
        (
            cells.link(row, f"Case {row.pk}"),
            names.get(row.scope, row.scope),
            row.get_kind_display(),
            cells.label("", row.get_status_display(), cells.BUSY),
            cells.EMPTY if row.amount_sat is None else cells.sat(row.amount_sat),
            f"{cases.age_days(row):,} days",
            cells.person(row.owner),
            ledger_cells.sentence(row.message, is_short=True),
        )
        for row in rows
    ]
    headers = ("Case", "Program", "Kind", "State", "Moved on chain", "Age", "Owner", "What it means")
    url = reverse("admin:ledger_case_changelist")
    return [Table("Breaks to resolve", headers, list(found), more_url=url)] if found else []


def programs(request: HttpRequest) -> Table:
    """List the programs that the user belongs to, with the roles there."""
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
