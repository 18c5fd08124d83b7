"""Changes of address in the admin: proposed by one person on an enrollment's page, decided by another here."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, scope
from payments.admin.decided import DecidedAdmin
from payments.models import ChangeOutcome, DestinationChange
from payments.services import destinations

TONES = {
    ChangeOutcome.OPEN: cells.BUSY,
    ChangeOutcome.CONFIRMED: cells.GOOD,
    ChangeOutcome.REFUSED: cells.BAD,
    ChangeOutcome.WITHDRAWN: cells.PLAIN,
}


@admin.register(DestinationChange)
class DestinationChangeAdmin(DecidedAdmin):
    """Who proposed to pay whom elsewhere, and who decided."""

    noun = "Change of address"
    keyword, tones, joined = "change_id", TONES, ("proposed_by",)
    list_display = ("number", "program_name", "person", "address_short", "state", "proposer", "proposed")
    actions_detail = ("confirm", "refuse", "withdraw")
    when_empty = "Nobody was ever paid elsewhere. An officer proposes it on an enrollment's page."
    fieldsets = (
        (None, {"fields": ("person", "program_name", "address", "before", "state", "reason")}),
        ("People", {"fields": ("proposer", "proposed", "decider", "decided", "decision")}),
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
        return self._decide(request, object_id, destinations.confirm, "Confirm", "is confirmed", text)

    @action(description="Refuse", url_path="refuse", icon="close", variant=ActionVariant.WARNING)
    def refuse(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Refuse as a second person."""
        text = "The person is paid at the old address."
        return self._decide(request, object_id, destinations.refuse, "Refuse", "is refused", text)

    @action(description="Withdraw", url_path="withdraw", icon="undo", variant=ActionVariant.WARNING)
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take back what one proposed oneself."""
        return self._decide(request, object_id, destinations.withdraw, "Withdraw", "is withdrawn", "")

    def _decide(
        self, request: HttpRequest, object_id: str, service: Any, verb: str, done: str, help_text: str
    ) -> HttpResponse:
        return self.decide(
            request,
            object_id,
            service,
            title=said("{0} the change of address", verb),
            done=said("The change of address {0}.", done),
            help_text=help_text,
        )

    def facts(self, row: DestinationChange) -> list[tuple[str, Any]]:
        """Return where the person is paid, and where they would be."""
        return [
            ("Person", self.person(row)),
            ("Now paid at", self.before(row)),
            ("New address", self.address(row)),
            ("Reason", cells.long(row.note)),
            ("Proposed by", cells.join(self.proposer(row), self.proposed(row))),
        ]

    @display(description="change")
    def number(self, change: DestinationChange) -> str:
        """Its number."""
        return f"Change {change.pk}"

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
