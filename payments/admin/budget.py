"""Budgets in the admin: fiscal periods with what is allotted, released, committed and spent, and the warrants."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import budgeting, cells, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter, by_number
from payments.admin.tables import Notice, Table, history
from payments.models import BudgetPeriod, Role, Warrant
from payments.states import WarrantStatus


@admin.register(BudgetPeriod)
class BudgetPeriodAdmin(ProgramScopedAdmin):
    """Fiscal periods and their totals."""

    list_display = ("title", "program", "days", "state", "allotted", "cash", "committed", "spent")
    list_select_related = ("program",)
    list_filter = (ProgramFilter,)
    search_fields = ("pk",)
    search_help_text = "Search by number"
    when_empty = "No program is held to a budget. A treasurer opens its first period; from then on it is."
    actions_list = ("open_period",)
    actions_detail = ("allot", "release_cash", "close_period")
    fieldsets = (
        (None, {"fields": ("program", "days", "state", "opened", "closed")}),
        ("Allotment", {"fields": ("allotted", "committed", "available")}),
        ("Cash", {"fields": ("cash", "spent", "cash_left")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[BudgetPeriod]:
        """Return the periods of the user's programs."""
        rows: QuerySet[BudgetPeriod] = super().get_queryset(request)
        return rows.select_related("program", "opened_by", "closed_by")

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer a new period to treasurers."""
        may = scope.programs_as(request, Role.TREASURER).exists()
        return [self.get_unfold_action("open_period")] if may else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the role allows while the period is open."""
        row = self.get_object(request, str(object_id))
        names = [] if row is None else budgeting.of_period(request, row)
        return [self.get_unfold_action(name) for name in self.actions_detail if name in names]

    @action(description="Open a period", url_path="open", icon="add", variant=ActionVariant.PRIMARY)
    def open_period(self, request: HttpRequest) -> HttpResponse:
        """Open a period of one of the user's programs."""
        return budgeting.open_period(self, request)

    @action(description="Allotment", url_path="allot", icon="savings", variant=ActionVariant.PRIMARY)
    def allot(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Propose to add to what may be committed, or to withdraw."""
        return budgeting.propose(self, request, self.get_row(request, object_id), "allotment")

    @action(description="Cash release", url_path="release-cash", icon="payments")
    def release_cash(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Propose to add to what may be spent, or to withdraw."""
        return budgeting.propose(self, request, self.get_row(request, object_id), "cash_release")

    @action(description="Close", url_path="close", icon="lock", variant=ActionVariant.DANGER)
    def close_period(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Close the period for good."""
        return budgeting.close(self, request, self.get_row(request, object_id))

    def tables(self, request: HttpRequest, obj: BudgetPeriod) -> list[Table]:
        """Show the steps that made the totals, and what lists hold."""
        return [budgeting.warrants(obj), budgeting.commitments(obj)]

    @display(description="period")
    def title(self, row: BudgetPeriod) -> str:
        """Its name."""
        return cells.long(row.name)

    @display(description="days")
    def days(self, row: BudgetPeriod) -> str:
        """The first and the last one."""
        return said("{0} to {1}", f"{row.first_date:%Y-%m-%d}", f"{row.last_date:%Y-%m-%d}")

    @display(description="state")
    def state(self, row: BudgetPeriod) -> str:
        """Whether somebody closed it."""
        return cells.label("", "open", cells.INFO) if row.is_open else cells.label("", "closed")

    @display(description="opened")
    def opened(self, row: BudgetPeriod) -> str:
        """By whom, and when."""
        return cells.join(cells.person(row.opened_by), cells.moment(row.opened_at))

    @display(description="closed")
    def closed(self, row: BudgetPeriod) -> str:
        """By whom, when and why."""
        if row.is_open:
            return cells.EMPTY
        return cells.join(
            cells.person(row.closed_by), cells.moment(row.closed_at), cells.long(row.close_note)
        )

    @display(description="allotted")
    def allotted(self, row: BudgetPeriod) -> str:
        """What lists may commit in all."""
        return cells.money(row.allotted_sat, row.program)

    @display(description="committed")
    def committed(self, row: BudgetPeriod) -> str:
        """What approved lists hold of it."""
        return cells.money(row.committed_sat, row.program)

    @display(description="free to commit")
    def available(self, row: BudgetPeriod) -> str:
        """What further lists may commit."""
        return cells.money(row.available_sat, row.program)

    @display(description="cash released")
    def cash(self, row: BudgetPeriod) -> str:
        """What may be spent in all."""
        return cells.money(row.cash_released_sat, row.program)

    @display(description="spent")
    def spent(self, row: BudgetPeriod) -> str:
        """What released lists spend of it."""
        return cells.money(row.spent_sat, row.program)

    @display(description="free to spend")
    def cash_left(self, row: BudgetPeriod) -> str:
        """What further lists may spend."""
        return cells.money(row.cash_left_sat, row.program)


@admin.register(Warrant)
class WarrantAdmin(ProgramScopedAdmin):
    """The steps of allotments and cash, each proposed by one person and decided by another."""

    noun = "Warrant"
    program_path = "period__program"
    list_display = ("number", "program", "period_link", "kind_text", "amount", "state", "proposer", "decider")
    list_filter = (
        ProgramFilter,
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        by_number("period", "period"),
    )
    search_fields = ("pk",)
    search_help_text = "Search by number"
    when_empty = "Nobody has proposed anything yet; officers do so on a budget period's page."
    actions_detail = ("confirm", "reject", "withdraw")
    fieldsets = (
        (None, {"fields": ("program", "period_link", "kind_text", "amount", "state", "reason")}),
        ("People", {"fields": ("proposer", "proposed", "decider", "decided")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Warrant]:
        """Return the warrants of the user's programs."""
        rows: QuerySet[Warrant] = super().get_queryset(request)
        return rows.select_related("period__program", "proposed_by", "decided_by")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the role and the second-person rule allow."""
        row = self.get_object(request, str(object_id))
        names = [] if row is None else budgeting.of_warrant(request, row)
        return [self.get_unfold_action(name) for name in self.actions_detail if name in names]

    @action(description="Confirm", url_path="confirm", icon="check", variant=ActionVariant.PRIMARY)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Agree as a second person."""
        return budgeting.decide(self, request, self.get_row(request, object_id), "confirm")

    @action(description="Reject", url_path="reject", icon="close", variant=ActionVariant.WARNING)
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Refuse as a second person."""
        return budgeting.decide(self, request, self.get_row(request, object_id), "reject")

    @action(description="Withdraw", url_path="withdraw", icon="undo", variant=ActionVariant.WARNING)
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take back what one proposed oneself."""
        return budgeting.decide(self, request, self.get_row(request, object_id), "withdraw")

    def notices(self, request: HttpRequest, obj: Warrant) -> list[Notice]:
        """Say whose turn it is."""
        if obj.status != WarrantStatus.PROPOSED:
            return []
        if "confirm" in budgeting.of_warrant(request, obj):
            return [Notice("Compare the figures, then confirm or reject it.", cells.INFO, "Waits for you")]
        text = "A treasurer of the program decides, who is somebody else than the person who proposed it."
        return [Notice(text, cells.BUSY, "Waits for a second person")]

    def tables(self, request: HttpRequest, obj: Warrant) -> list[Table]:
        """Show who said what."""
        return [history("warrant", obj.pk)]

    @display(description="warrant")
    def number(self, row: Warrant) -> str:
        """Its number."""
        return f"Warrant {row.pk}"

    @display(description="program")
    def program(self, row: Warrant) -> str:
        """The program."""
        return str(row.period.program)

    @display(description="period")
    def period_link(self, row: Warrant) -> str:
        """The budget period that it moves."""
        return cells.link(row.period)

    @display(description="moves")
    def kind_text(self, row: Warrant) -> str:
        """Allotment or cash."""
        return row.get_kind_display()

    @display(description="adds")
    def amount(self, row: Warrant) -> str:
        """What is added, or withdrawn."""
        return cells.money(row.amount_sat, row.period.program)

    @display(description="status")
    def state(self, row: Warrant) -> str:
        """Where it stands."""
        return cells.status_of(row)

    @display(description="reason")
    def reason(self, row: Warrant) -> str:
        """Why it was proposed."""
        return cells.long(row.note)

    @display(description="proposed by")
    def proposer(self, row: Warrant) -> str:
        """Who proposed it."""
        return cells.person(row.proposed_by)

    @display(description="proposed")
    def proposed(self, row: Warrant) -> str:
        """When it was proposed."""
        return cells.moment(row.proposed_at)

    @display(description="decided by")
    def decider(self, row: Warrant) -> str:
        """Who decided."""
        return cells.person(row.decided_by)

    @display(description="decided")
    def decided(self, row: Warrant) -> str:
        """When it was decided."""
        return cells.moment(row.decided_at)
