"""The history of every status in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from payments.admin import cells, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import by_number
from payments.models import (
    BankFile,
    Disbursement,
    Entitlement,
    Grievance,
    ImportJob,
    Intervention,
    Payment,
    Payout,
    Proposal,
    StatusChange,
    TrustDecision,
    TrustLeg,
    Voucher,
    Warrant,
)
from payments.states import label_of

SUBJECTS: dict[str, type[Model]] = {
    "decision": TrustDecision,
    "leg": TrustLeg,
    "disbursement": Disbursement,
    "payment": Payment,
    "payout": Payout,
    "import": ImportJob,
    "intervention": Intervention,
    "proposal": Proposal,
    "warrant": Warrant,
    "entitlement": Entitlement,
    "grievance": Grievance,
    "bankfile": BankFile,
    "voucher": Voucher,
}
PROGRAM_PATHS = {
    "import": "program",
    "disbursement": "program",
    "payment": "disbursement__program",
    "payout": "wallet__program",
    "intervention": "wallet__program",
    "proposal": "program",
    "warrant": "period__program",
    "entitlement": "payment__disbursement__program",
    "grievance": "program",
    "bankfile": "program",
    "leg": "payment__disbursement__program",
    "voucher": "program",
}
# What is of no program, and whoever reads one reads it.
SHARED = ("decision",)


class SubjectFilter(DropdownFilter):
    """Whatever has a status."""

    title = "what changed"
    parameter_name = "subject"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return them all."""
        return [(name, name.capitalize()) for name in SUBJECTS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep one of them."""
        return queryset.filter(subject=self.value()) if self.value() else queryset


@admin.register(StatusChange)
class StatusChangeAdmin(ProgramScopedAdmin):
    """Who changed what, when and why."""

    noun = "Change"
    list_display = ("when", "what", "before", "after", "why", "who")
    list_select_related = ("actor",)
    list_filter = (SubjectFilter, by_number("subject_id", "subject_id"))
    date_hierarchy = "at"
    search_fields = ("pk",)
    search_help_text = "Search by the person's user name, or by number"
    fields = ("when", "what", "before", "after", "why", "note_text", "who")
    when_empty = "Nothing has happened yet."

    def get_queryset(self, request: HttpRequest) -> QuerySet[StatusChange]:
        """Return the changes of whatever is in the user's programs."""
        rows = StatusChange.objects.select_related("actor")
        if scope.sees_everything(request):
            return rows
        mine = Q(pk__in=[])
        for subject, model in SUBJECTS.items():
            if subject in SHARED:
                mine |= Q(subject=subject)
                continue
            ids = scope.limit(request, model._default_manager.all(), PROGRAM_PATHS[subject]).values("pk")
            mine |= Q(subject=subject, subject_id__in=ids)
        return rows.filter(mine)

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by who did it, or by number."""
        return Q(actor__username=term) | super().find(request, term)

    @display(description="when")
    def when(self, change: StatusChange) -> str:
        """When it happened."""
        return cells.moment(change.at)

    @display(description="what")
    def what(self, change: StatusChange) -> str:
        """The row that changed."""
        model = SUBJECTS[change.subject]
        noun = "List" if change.subject == "disbursement" else change.subject.capitalize()
        return cells.link(model(pk=change.subject_id), f"{noun} {change.subject_id}")

    @display(description="from")
    def before(self, change: StatusChange) -> str:
        """The old status."""
        return cells.label(change.old, label_of(change.subject, change.old))

    @display(description="reason")
    def why(self, row: StatusChange) -> str:
        """Why the table of changes allows it."""
        return row.reason

    @display(description="to")
    def after(self, change: StatusChange) -> str:
        """The new status."""
        return cells.label(change.new, label_of(change.subject, change.new))

    @display(description="note")
    def note_text(self, change: StatusChange) -> str:
        """What the person wrote."""
        return cells.long(change.note)

    @display(description="who")
    def who(self, change: StatusChange) -> str:
        """The person, or the engine."""
        return cells.person(change.actor) if change.actor else "the engine"
