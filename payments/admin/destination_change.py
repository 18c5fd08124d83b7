"""Changes of address in the admin: proposed by one person on an enrollment's page, decided by another here."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from payments.admin import cells, reasons, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.models import ChangeOutcome, DestinationChange
from payments.services import destinations

TONES = {
    ChangeOutcome.OPEN: cells.BUSY,
    ChangeOutcome.CONFIRMED: cells.GOOD,
    ChangeOutcome.REFUSED: cells.BAD,
    ChangeOutcome.WITHDRAWN: cells.PLAIN,
}


@admin.register(DestinationChange)
class DestinationChangeAdmin(ProgramScopedAdmin):
    """Who proposed to pay whom elsewhere, and who decided."""

    noun = "Change of address"
    list_display = ("number", "program_name", "person", "address_short", "state", "proposer", "proposed")
    list_filter = (ProgramFilter, ("outcome", ChoicesDropdownFilter))
    search_fields = ("pk",)
    search_help_text = "Search by number"
    actions_detail = ("confirm", "refuse", "withdraw")
    when_empty = "Nobody was ever paid elsewhere. An officer proposes it on an enrollment's page."
    fieldsets = (
        (None, {"fields": ("person", "program_name", "address", "before", "state", "reason")}),
        ("People", {"fields": ("proposer", "proposed", "decider", "decided", "decision")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[DestinationChange]:
        """Return the changes proposed in the user's programs."""
        rows: QuerySet[DestinationChange] = super().get_queryset(request)
        return rows.select_related("program", "beneficiary", "proposed_by", "decided_by").defer(
            "beneficiary__personal"
        )

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the role and the second-person rule allow."""
        row = self.get_object(request, str(object_id))
        names: list[str] = []
        is_open = row is not None and row.outcome == ChangeOutcome.OPEN
        if is_open and scope.holds(request, row.program_id, *destinations.DECIDERS):
            names = ["withdraw"] if row.proposed_by_id == request.user.pk else ["confirm", "refuse"]
        return [self.get_unfold_action(name) for name in self.actions_detail if name in names]

    @action(description="Confirm", url_path="confirm", icon="check", variant=ActionVariant.PRIMARY)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Agree as a second person."""
        text = "New lists pay there once the program's cooling period is over; until then their line is held."
        return self._ask(request, object_id, destinations.confirm, "Confirm", "is confirmed", text)

    @action(description="Refuse", url_path="refuse", icon="close", variant=ActionVariant.WARNING)
    def refuse(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Refuse as a second person."""
        text = "The person is paid at the old address."
        return self._ask(request, object_id, destinations.refuse, "Refuse", "is refused", text)

    @action(description="Withdraw", url_path="withdraw", icon="undo", variant=ActionVariant.WARNING)
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take back what one proposed oneself."""
        return self._ask(request, object_id, destinations.withdraw, "Withdraw", "is withdrawn", "")

    def _ask(
        self, request: HttpRequest, object_id: str, service: Any, verb: str, done: str, help_text: str
    ) -> HttpResponse:
        row = self.get_row(request, object_id)
        return reasons.ask(
            self,
            request,
            row,
            title=f"{verb} the change of address",
            call=lambda note: service(by=request.user, change_id=row.pk, note=note),
            done=f"The change of address {done}.",
            facts=[
                ("Person", self.person(row)),
                ("Now paid at", self.before(row)),
                ("New address", self.address(row)),
                ("Reason", cells.long(row.note)),
                ("Proposed by", cells.join(self.proposer(row), self.proposed(row))),
            ],
            help_text=help_text,
        )

    @display(description="change")
    def number(self, change: DestinationChange) -> str:
        """Its number."""
        return f"Change {change.pk}"

    @display(description="program")
    def program_name(self, change: DestinationChange) -> str:
        """Where it was proposed."""
        return str(change.program)

    @display(description="person")
    def person(self, change: DestinationChange) -> str:
        """Whom it is about."""
        return cells.link(change.beneficiary, f"Person {change.beneficiary_id}")

    @display(description="new address")
    def address_short(self, change: DestinationChange) -> str:
        """The proposed address, shortened."""
        return cells.address_short(change.script_pubkey)

    @display(description="new address")
    def address(self, change: DestinationChange) -> str:
        """The proposed address."""
        return cells.address(change.script_pubkey)

    @display(description="paid at now")
    def before(self, change: DestinationChange) -> str:
        """The current address."""
        current = change.beneficiary.destinations.filter(is_current=True).first()
        return cells.address(current.script_pubkey) if current else cells.EMPTY

    @display(description="state")
    def state(self, change: DestinationChange) -> str:
        """What became of it."""
        outcome = ChangeOutcome(change.outcome)
        return cells.label("", outcome.label, TONES[outcome])

    @display(description="reason")
    def reason(self, change: DestinationChange) -> str:
        """Why it was proposed."""
        return cells.long(change.note)

    @display(description="proposed by")
    def proposer(self, change: DestinationChange) -> str:
        """Who proposed it."""
        return cells.person(change.proposed_by)

    @display(description="proposed")
    def proposed(self, change: DestinationChange) -> str:
        """When it was proposed."""
        return cells.moment(change.proposed_at)

    @display(description="decided by")
    def decider(self, change: DestinationChange) -> str:
        """Who decided."""
        return cells.person(change.decided_by)

    @display(description="decided")
    def decided(self, change: DestinationChange) -> str:
        """When it was decided."""
        return cells.moment(change.decided_at)

    @display(description="why")
    def decision(self, change: DestinationChange) -> str:
        """What the decider wrote."""
        return cells.long(change.decision_note)
