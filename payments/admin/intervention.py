"""Interventions in the admin: what was asked of the engine, with what waits for the reader's decision first."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from payments.admin import cells, consents, figures
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter, by_number
from payments.admin.tables import Notice, Table, history
from payments.models import Intervention
from payments.selectors import interventions as selector

OUTCOMES = {
    "voided": ("void for good", cells.GOOD),
    "in_block": ("void in a block, not deep yet", cells.BUSY),
    "waits": ("void not in a block yet", cells.BUSY),
    "lost": ("too late: its people are paid", cells.BAD),
}


class TurnFilter(DropdownFilter):
    """By whose turn it is."""

    title = "waits for"
    parameter_name = "turn"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the one choice."""
        return [("mine", "My decision")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what the user may decide."""
        if self.value() != "mine":
            return queryset
        return queryset.filter(pk__in=selector.waiting_for(request.user).values("pk"))


@admin.register(Intervention)
class InterventionAdmin(ProgramScopedAdmin):
    """What people asked of the engine."""

    noun = "Intervention"
    program_path = "wallet__program"
    list_display = ("number", "program", "asked", "subject", "state", "added", "proposer", "proposed")
    list_filter = (
        ProgramFilter,
        TurnFilter,
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        by_number("payout", "payout"),
    )
    search_fields = ("pk",)
    search_help_text = "Search by number"
    when_empty = "Nobody has asked the engine for anything yet; treasurers do so on a payout's page."
    actions_detail = ("approve", "reject", "withdraw")
    fieldsets = (
        (None, {"fields": ("asked", "subject", "state", "outcome", "reason", "txid")}),
        ("People", {"fields": ("proposer", "proposed", "decider", "decided")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Intervention]:
        """Return the interventions of the user's programs."""
        rows: QuerySet[Intervention] = super().get_queryset(request)
        return rows.select_related("wallet__program", "payout", "proposed_by", "decided_by", "version").defer(
            "version__raw", "version__unsigned_tx"
        )

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the role and the second-person rule allow."""
        row = self.get_object(request, str(object_id))
        names = [] if row is None else consents.of_intervention(request, row)
        return [self.get_unfold_action(name) for name in self.actions_detail if name in names]

    @action(description="Approve", url_path="approve", icon="check", variant=ActionVariant.PRIMARY)
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Agree as a second person."""
        return consents.decide(self, request, self.get_row(request, object_id), "approve")

    @action(description="Reject", url_path="reject", icon="close", variant=ActionVariant.WARNING)
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Refuse as a second person."""
        return consents.decide(self, request, self.get_row(request, object_id), "reject")

    @action(description="Withdraw", url_path="withdraw", icon="undo", variant=ActionVariant.WARNING)
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take back what one proposed oneself."""
        return consents.decide(self, request, self.get_row(request, object_id), "withdraw")

    def notices(self, request: HttpRequest, obj: Intervention) -> list[Notice]:
        """Say whose turn it is."""
        return consents.notices(request, obj)

    def tables(self, request: HttpRequest, obj: Intervention) -> list[Table]:
        """Show the figures and the history."""
        return [figures.comparison(obj.preview), history("intervention", obj.pk)]

    @display(description="intervention")
    def number(self, row: Intervention) -> str:
        """Its number."""
        return f"Intervention {row.pk}"

    @display(description="program")
    def program(self, row: Intervention) -> str:
        """The program."""
        return str(row.wallet.program)

    @display(description="asked for")
    def asked(self, row: Intervention) -> str:
        """What is asked for."""
        return row.get_kind_display()

    @display(description="about")
    def subject(self, row: Intervention) -> str:
        """The payout or the wallet."""
        if row.payout is None:
            return cells.link(row.wallet)
        return cells.link(row.payout, f"Payout {row.payout_id}")

    @display(description="status")
    def state(self, row: Intervention) -> str:
        """Where it stands."""
        return cells.status_of(row)

    @display(description="added fee")
    def added(self, row: Intervention) -> str:
        """What it costs more."""
        return cells.sat(row.preview.get("fee_added_sat"))

    @display(description="outcome")
    def outcome(self, row: Intervention) -> str:
        """Whether a void won."""
        code = selector.outcome_of(row.pk)
        if code not in OUTCOMES:
            return cells.problem(row.failure) or cells.EMPTY
        text, tone = OUTCOMES[code]
        return cells.label("", text, tone)

    @display(description="reason")
    def reason(self, row: Intervention) -> str:
        """Why it was proposed."""
        return cells.long(row.note)

    @display(description="tx that came of it")
    def txid(self, row: Intervention) -> str:
        """The version that was built."""
        return cells.whole(row.version.txid) if row.version else cells.EMPTY

    @display(description="proposed by")
    def proposer(self, row: Intervention) -> str:
        """Who proposed it."""
        return cells.person(row.proposed_by)

    @display(description="proposed")
    def proposed(self, row: Intervention) -> str:
        """When it was proposed."""
        return cells.moment(row.proposed_at)

    @display(description="decided by")
    def decider(self, row: Intervention) -> str:
        """Who decided; nobody where none was needed."""
        if not row.needs_second:
            return "nobody else was needed"
        return cells.person(row.decided_by)

    @display(description="decided")
    def decided(self, row: Intervention) -> str:
        """When it was decided."""
        return cells.moment(row.decided_at)
