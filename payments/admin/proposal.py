"""Proposed changes of rules and roles in the admin, with what each changes, and whose turn it is."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, forms, institution_forms, pages, price_pages, reserve, scope, travel, trust
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.admin.program_form import LABELS
from payments.admin.tables import Notice, Table, history
from payments.models import Proposal, Role
from payments.selectors import proposals as selector
from payments.services import proposals
from payments.states import ProposalStatus

# What a proposal of a webhook changes, and what it means that nothing is said.
OTHER_LABELS = {"url": "Address", "webhook_id": "Webhook", "event_types": "Told"}
OTHER_LABELS |= price_pages.LABELS | reserve.LABELS | trust.LABELS | institution_forms.LABELS | travel.LABELS
WITHOUT = {
    "webhook_id": "a new one",
    "event_types": "every event",
    "source_id": "a new one",
    "holding_id": "a new one",
    "trust_id": "a new one",
    "institution_id": "a new one",
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


@admin.register(Proposal)
class ProposalAdmin(ProgramScopedAdmin):
    """What was proposed, by whom, and who agreed."""

    noun = "Proposal"
    also = (Role.SECURITY,)
    list_display = ("number", "program_name", "what", "whose", "state", "proposer", "proposed")
    list_filter = (ProgramFilter, TurnFilter, ("status", ChoicesDropdownFilter))
    search_fields = ("pk",)
    search_help_text = "Search by number"
    when_empty = "Nothing was proposed yet; security administrators do so on a program's page."
    actions_detail = ("confirm", "reject", "withdraw")
    fieldsets = (
        (None, {"fields": ("what", "program_name", "whose", "state", "reason")}),
        ("People", {"fields": ("proposer", "proposed", "expires", "decider", "decided")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Proposal]:
        """Return what the user may see."""
        rows = Proposal.objects.all() if scope.sees_everything(request) else selector.visible(request.user)
        return rows.select_related("program", "about", "proposed_by", "decided_by").order_by("-pk")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the role and the second-person rule allow."""
        row = self.get_object(request, str(object_id))
        names = [] if row is None else _offered(request, row)
        return [self.get_unfold_action(name) for name in self.actions_detail if name in names]

    @action(description="Confirm", url_path="confirm", icon="check", variant=ActionVariant.PRIMARY)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Agree as a second person; it is done at once."""
        return self._decide(request, object_id, "confirm")

    @action(description="Reject", url_path="reject", icon="close", variant=ActionVariant.WARNING)
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Refuse as a second person."""
        return self._decide(request, object_id, "reject")

    @action(description="Withdraw", url_path="withdraw", icon="undo", variant=ActionVariant.WARNING)
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take back what one proposed oneself."""
        return self._decide(request, object_id, "withdraw")

    def _decide(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        row = self.get_row(request, object_id)
        by: Any = request.user
        if request.method == "GET" and verb not in _offered(request, row):
            # The proposal's page says whose turn it is.
            return HttpResponseRedirect(cells.page_of(row))

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            made = getattr(proposals, verb)(by=by, proposal_id=row.pk, note=cleaned["note"])
            messages.success(request, said("Proposal {0} is {1}.", row.pk, made.get_status_display().lower()))
            return HttpResponseRedirect(cells.page_of(row))

        is_consent = verb == "confirm"
        return pages.answer(
            self,
            request,
            pages.Page(
                title=said("{0} proposal {1}", verb.capitalize(), row.pk),
                form_class=forms.ConsentForm if is_consent else forms.ReasonForm,
                call=call,
                submit=f"{verb.capitalize()} it",
                back=cells.page_of(row),
                facts=[
                    ("Change", kind_of(row)),
                    ("Program", self.program_name(row)),
                    ("About", self.whose(row)),
                    ("Reason", cells.long(row.note)),
                    ("Proposed by", cells.join(self.proposer(row), self.proposed(row))),
                ],
                tables=[comparison(row)],
                help_text="It is done at once, exactly as below." if is_consent else "",
            ),
        )

    def notices(self, request: HttpRequest, obj: Proposal) -> list[Notice]:
        """Say whose turn it is."""
        if obj.status != ProposalStatus.PROPOSED:
            return []
        if not obj.is_open:
            return [Notice("Nobody confirmed it in time; propose it again.", cells.BAD, "Expired")]
        if {"confirm"} & set(_offered(request, obj)):
            return [
                Notice("Compare before and after, then confirm or reject it.", cells.INFO, "Waits for you")
            ]
        return [Notice("Another security administrator decides.", cells.BUSY, "Waits for a second person")]

    def tables(self, request: HttpRequest, obj: Proposal) -> list[Table]:
        """Show what changes, and the history."""
        return [comparison(obj), history("proposal", obj.pk)]

    @display(description="proposal")
    def number(self, row: Proposal) -> str:
        """Its number."""
        return f"Proposal {row.pk}"

    @display(description="program")
    def program_name(self, row: Proposal) -> str:
        """The program."""
        return str(row.program or "all")

    @display(description="change")
    def what(self, row: Proposal) -> str:
        """What would change."""
        return kind_of(row)

    @display(description="about")
    def whose(self, row: Proposal) -> str:
        """Whose role it is."""
        if row.about is None:
            return cells.EMPTY
        return cells.join(cells.person(row.about), f"({row.about.get_username()})")

    @display(description="status")
    def state(self, row: Proposal) -> str:
        """Where it stands."""
        if row.status == ProposalStatus.PROPOSED and not row.is_open:
            return cells.label("", "Expired", cells.PLAIN)
        return cells.status_of(row)

    @display(description="reason")
    def reason(self, row: Proposal) -> str:
        """Why it was proposed."""
        return cells.long(row.note)

    @display(description="proposed by")
    def proposer(self, row: Proposal) -> str:
        """Who proposed it."""
        return cells.person(row.proposed_by)

    @display(description="proposed")
    def proposed(self, row: Proposal) -> str:
        """When it was proposed."""
        return cells.moment(row.proposed_at)

    @display(description="to be confirmed before")
    def expires(self, row: Proposal) -> str:
        """Until when."""
        return cells.moment(row.expires_at)

    @display(description="decided by")
    def decider(self, row: Proposal) -> str:
        """Who decided."""
        return cells.person(row.decided_by)

    @display(description="decided")
    def decided(self, row: Proposal) -> str:
        """When it was decided."""
        return cells.moment(row.decided_at)


def kind_of(row: Proposal) -> str:
    """Write what a proposal would change."""
    return proposals.KINDS[row.kind].label


def comparison(row: Proposal) -> Table:
    """Lay out what changes: before and after."""
    rows = [
        (
            LABELS.get(name) or OTHER_LABELS.get(name) or name.capitalize(),
            _text(name, row.before[name]),
            _text(name, row.after[name]),
        )
        for name in row.after
    ]
    return Table("What changes", ("What", "Before", "After"), list(rows))


def _text(name: str, value: Any) -> str:
    if value is None:
        return WITHOUT.get(name, "none")
    if isinstance(value, list):
        labels = dict(Role.choices)
        return ", ".join(str(labels.get(item, item)) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _offered(request: HttpRequest, row: Proposal) -> list[str]:
    user_id = request.user.pk
    is_decider = (
        scope.holds(request, row.program_id, *proposals.DECIDERS)
        if row.program_id is not None
        else any(Role.SECURITY in held for held in scope.roles(request).values())
    )
    if row.status != ProposalStatus.PROPOSED or not is_decider:
        return []
    if row.proposed_by_id == user_id:
        return ["withdraw"]
    return [] if row.about_id == user_id else ["confirm", "reject"] if row.is_open else ["reject"]
