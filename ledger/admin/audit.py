"""Audit events in the admin: searched and looked at by whoever may read them, with a way to what they are about."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RangeDateTimeFilter
from unfold.decorators import action, display

from ledger.admin import cells
from ledger.admin.base import BookAdmin, is_number
from ledger.admin.filters import ScopeFilter
from ledger.models import AuditEvent, Leaf
from ledger.reports.audit import RIGHT

APPLICATIONS = ("payments", "ledger", "auth", "govpay")
# Each action there is, by one look into the index each.
ACTIONS = """
WITH RECURSIVE found AS (
    (SELECT action FROM ledger_auditevent ORDER BY action LIMIT 1)
    UNION ALL
    SELECT n.action FROM found f CROSS JOIN LATERAL (
        SELECT action FROM ledger_auditevent WHERE action > f.action ORDER BY action LIMIT 1) n
)
SELECT action FROM found
"""


class ActionFilter(DropdownFilter):
    """Offers the actions that there are events of."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the actions, with one statement."""
        with connection.cursor() as cursor:
            cursor.execute(ACTIONS)
            return [(action, action.replace(".", " ").replace("_", " ")) for (action,) in cursor.fetchall()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the events of the action."""
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(AuditEvent)
class AuditEventAdmin(BookAdmin):
    """Who did what, latest first."""

    list_display = ("number", "when", "actor", "act", "about", "of_scope", "door", "why")
    list_filter = (
        ActionFilter,
        ScopeFilter,
        ("door", ChoicesDropdownFilter),
        ("recorded_at", RangeDateTimeFilter),
    )
    search_fields = ("actor",)
    search_help_text = (
        "Search by who (a user's name, engine), action, subject (disbursement:12), request or number"
    )
    actions_list = ("export",)
    when_empty = "Nobody did anything yet."
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("act", "about", "of_scope"),
                    ("actor", "user", "door"),
                    ("when", "request_id"),
                    "why",
                )
            },
        ),
        ("Proof", {"fields": ("before", "after", "leaf"), "classes": ("collapse",)}),
    )

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to whoever may read events."""
        return request.user.has_perm(RIGHT)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let whoever may read events read all of them."""
        return request.user.has_perm(RIGHT)

    @action(description="Export", url_path="export", icon="download", permissions=["view"])
    def export(self, request: HttpRequest) -> HttpResponse:
        """Lead to the report that streams all of them, as JSON lines or CSV."""
        return HttpResponseRedirect(reverse("admin:ledger_report", args=["audit"]))

    def find(self, term: str) -> Q:
        """Search by who, what was done, what it is about, request or number."""
        kind, _, number = term.partition(":")
        found = Q(actor=term) | Q(action=term) | Q(subject_kind=kind, subject_id=number) | Q(request_id=term)
        return found | Q(pk=int(term)) if is_number(term) else found

    @display(description="event")
    def number(self, row: AuditEvent) -> str:
        """Its number."""
        return f"Event {row.pk}"

    @display(description="recorded")
    def when(self, row: AuditEvent) -> str:
        """When it was done."""
        return cells.moment(row.recorded_at)

    @display(description="action")
    def act(self, row: AuditEvent) -> str:
        """What was done."""
        return cells.label(row.action)

    @display(description="about")
    def about(self, row: AuditEvent) -> str:
        """What it was done with, as a link to its page where there is one."""
        url = _page_of(row)
        return cells.link(url, row.subject) if url else cells.long(row.subject)

    @display(description="user number")
    def user(self, row: AuditEvent) -> str:
        """The number of the user who did it."""
        return row.actor_id or cells.EMPTY

    @display(description="why")
    def why(self, row: AuditEvent) -> str:
        """The reason that was given."""
        return cells.long(row.reason)

    @display(description="state before")
    def before(self, row: AuditEvent) -> str:
        """The hash of the row before."""
        return cells.whole(bytes(row.before_sha256 or b"").hex())

    @display(description="state after")
    def after(self, row: AuditEvent) -> str:
        """The hash of the row after."""
        return cells.whole(bytes(row.after_sha256 or b"").hex())

    @display(description="leaf of the tree")
    def leaf(self, row: AuditEvent) -> str:
        """Its place in the tree, once it is sealed."""
        found = Leaf.objects.filter(event=row).values_list("index", flat=True).first()
        return "Not sealed yet." if found is None else f"{found:,}"


def _page_of(event: AuditEvent) -> str | None:
    """Return the address of the page of what an event is about, without asking the database; None where there is none."""
    if not is_number(event.subject_id):
        return None
    for label in APPLICATIONS:
        if event.subject_kind in apps.all_models[label]:
            try:
                return reverse(f"admin:{label}_{event.subject_kind}_change", args=[event.subject_id])
            except NoReverseMatch:
                return None
    return None
