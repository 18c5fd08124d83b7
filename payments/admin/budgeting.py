"""The pages behind the buttons of budgets, and the tables under a period."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from govpay.said import said
from payments.admin import cells, forms, pages, scope
from payments.admin.tables import SHOWN, Table
from payments.models import BudgetPeriod, Role, Warrant, WarrantKind
from payments.services import budgets
from payments.states import WarrantStatus

HELP = {
    WarrantKind.ALLOTMENT: "What lists may commit. It is never less than what is committed or released as cash.",
    WarrantKind.CASH_RELEASE: "What of the allotment may be spent by now. It is never less than what is spent.",
}


def of_period(request: HttpRequest, row: BudgetPeriod) -> list[str]:
    """Return the names of the buttons on a period's page."""
    if not row.is_open:
        return []
    found = ["allot", "release_cash"] if scope.holds(request, row.program_id, *budgets.PROPOSERS) else []
    return found + (["close_period"] if scope.holds(request, row.program_id, *budgets.DECIDERS) else [])


def of_warrant(request: HttpRequest, row: Warrant) -> list[str]:
    """Return the names of the buttons on a warrant's page."""
    if row.status != WarrantStatus.PROPOSED:
        return []
    if row.proposed_by_id == request.user.pk:
        return ["withdraw"]
    return ["confirm", "reject"] if scope.holds(request, row.period.program_id, *budgets.DECIDERS) else []


def open_period(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Ask for program, name and days."""
    by: Any = request.user
    programs = scope.programs_as(request, Role.TREASURER)
    if not programs.exists():
        # The list says who opens the first period.
        return HttpResponseRedirect(cells.list_of(BudgetPeriod))

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        program = cleaned.pop("program")
        made = budgets.open_period(by=by, program_id=program.pk, **cleaned)
        messages.success(
            request, said("{0} is open; nothing is allotted yet, so that no list is approved.", made)
        )
        return HttpResponseRedirect(cells.page_of(made))

    first, last = budgets.fiscal_year(timezone.now().date())
    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title="Open a budget period",
            form_class=forms.PeriodForm,
            form_options={"programs": programs},
            call=call,
            submit="Open the period",
            back=cells.list_of(BudgetPeriod),
            initial={"first_date": first, "last_date": last},
            help_text="From its first period on a program is held to budgets: a list is approved within the allotment of "
            "the day's period and released within its cash, and on days without an open period not at all.",
        ),
    )


def propose(model_admin: Any, request: HttpRequest, row: BudgetPeriod, kind: str) -> HttpResponse:
    """Ask what is added to the allotment or the cash, and why."""
    by: Any = request.user
    label = WarrantKind(kind).label
    if request.method == "GET" and "allot" not in of_period(request, row):
        # The period's page says what it is and who may.
        return HttpResponseRedirect(cells.page_of(row))

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        made = budgets.propose(
            by=by,
            budget_period_id=row.pk,
            kind=kind,
            note=cleaned["note"],
            **row.program.amounts("amount", cleaned["amount"]),
        )
        messages.success(
            request, f"Warrant {made.pk} is proposed; a treasurer who is somebody else decides next."
        )
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"{label}: {row}",
            form_class=forms.WarrantForm,
            call=call,
            submit="Propose it",
            back=cells.page_of(row),
            facts=facts(row),
            help_text=HELP[WarrantKind(kind)],
        ),
    )


def close(model_admin: Any, request: HttpRequest, row: BudgetPeriod) -> HttpResponse:
    """Ask why the period ends."""
    by: Any = request.user
    if request.method == "GET" and "close_period" not in of_period(request, row):
        return HttpResponseRedirect(cells.page_of(row))

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        budgets.close_period(by=by, budget_period_id=row.pk, note=cleaned["note"])
        messages.success(request, said("{0} is closed.", row))
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Close {0}", row),
            form_class=forms.ReasonForm,
            call=call,
            submit="Close the period",
            back=cells.page_of(row),
            is_dangerous=True,
            facts=facts(row),
            help_text="For good: nothing more is allotted, committed or spent in it. Lists that are approved and not yet "
            "released can only be withdrawn.",
        ),
    )


def decide(model_admin: Any, request: HttpRequest, row: Warrant, verb: str) -> HttpResponse:
    """Confirm or reject what somebody else proposed, or withdraw what one proposed oneself."""
    by: Any = request.user
    if request.method == "GET" and verb not in of_warrant(request, row):
        # The warrant's page says whose turn it is.
        return HttpResponseRedirect(cells.page_of(row))
    service = getattr(budgets, verb)

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        made = service(by=by, warrant_id=row.pk, note=cleaned["note"])
        messages.success(request, said("Warrant {0} is {1}.", row.pk, made.get_status_display().lower()))
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("{0} warrant {1}", verb.capitalize(), row.pk),
            form_class=forms.ConsentForm if verb == "confirm" else forms.ReasonForm,
            call=call,
            submit=f"{verb.capitalize()} it",
            back=cells.page_of(row),
            facts=[
                ("Moves", row.get_kind_display()),
                ("Adds", cells.money(row.amount_sat, row.period.program)),
                ("Reason", cells.long(row.note)),
                ("Proposed by", cells.join(cells.person(row.proposed_by), cells.moment(row.proposed_at))),
                *facts(row.period),
            ],
            help_text=HELP[WarrantKind(row.kind)],
        ),
    )


def facts(row: BudgetPeriod) -> list[tuple[str, Any]]:
    """Write where a period stands."""
    return [
        ("Program", str(row.program)),
        ("Period", cells.link(row)),
        ("Allotted", cells.money(row.allotted_sat, row.program)),
        ("Committed", cells.money(row.committed_sat, row.program)),
        ("Cash released", cells.money(row.cash_released_sat, row.program)),
        ("Spent", cells.money(row.spent_sat, row.program)),
    ]


def warrants(row: BudgetPeriod) -> Table:
    """Return the steps of a period, latest first."""
    found = row.warrants.select_related("proposed_by", "decided_by").order_by("-pk")[:SHOWN]
    return Table(
        "Warrants",
        ("Warrant", "Moves", "Adds", "Status", "Proposed by", "Decided by", "Reason"),
        [
            (
                cells.link(warrant, f"Warrant {warrant.pk}"),
                warrant.get_kind_display(),
                cells.money(warrant.amount_sat, row.program),
                cells.status_of(warrant),
                cells.person(warrant.proposed_by),
                cells.person(warrant.decided_by),
                cells.long(warrant.note),
            )
            for warrant in found
        ],
        "Nothing is allotted yet: an officer proposes it, a treasurer confirms it.",
        cells.list_of(Warrant, period=row.pk),
    )


def commitments(row: BudgetPeriod) -> Table:
    """Return what lists hold of a period, latest first."""
    found = row.commitments.select_related("disbursement").order_by("-pk")[:SHOWN]
    return Table(
        "Lists",
        ("List", "Status", "Committed", "Spent", "Missing"),
        [
            (
                cells.link(held.disbursement, f"List {held.disbursement_id}"),
                cells.status_of(held.disbursement),
                cells.money(held.committed_sat, row.program),
                cells.money(held.spent_sat, row.program),
                cells.money(held.missing_sat or None, row.program),
            )
            for held in found
        ],
        "No list has been approved in this period.",
    )
