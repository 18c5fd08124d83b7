"""Periods of the books in the admin: looked at by readers, opened, closed and sealed by those who may."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.errors import GovPayError
from govpay.said import said
from ledger import periods, selectors
from ledger.admin import cells
from ledger.admin.base import BookAdmin, Table, find_row, posted
from ledger.models import Period, PeriodStatus

TONES = {
    PeriodStatus.OPEN: cells.PLAIN,
    PeriodStatus.CLOSING: cells.UNSURE,
    PeriodStatus.SEALED: cells.GOOD,
}

NO_NAMES = "It is sealed, and goes into evidence packs: write no name and nothing else about a person."


class NewPeriodForm(forms.Form):
    """A period to open."""

    name = forms.CharField(max_length=30, help_text="Such as 2026-10.")
    ends_at = forms.DateTimeField(
        label="First moment after it (UTC)", widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )


class NoteForm(forms.Form):
    """Why."""

    note = forms.CharField(max_length=300, required=False, help_text=NO_NAMES)


class SealForm(NoteForm):
    """Why, and the figures that were looked at."""

    digest = forms.RegexField("^[0-9a-f]{64}$", widget=forms.HiddenInput)

    def clean_digest(self) -> bytes:
        """Return its bytes."""
        return bytes.fromhex(self.cleaned_data["digest"])


@admin.register(Period)
class PeriodAdmin(BookAdmin):
    """The periods, latest first."""

    list_display = ("title", "begins", "ends", "state", "opener")
    fields = (("state", "opener"), ("begins", "ends"), "figures")
    ordering = ("-ends_at",)
    search_fields = ("name",)
    search_help_text = "Search by the whole name"
    actions_list = ("open_next",)
    actions_detail = ("close", "reopen", "seal")
    when_empty = (
        "No period was opened: entries may be dated at any time. Who may close periods opens the first one."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any, Any]:
        """Return the periods with their statuses."""
        return selectors.periods().order_by("-ends_at")

    def find(self, term: str) -> Q:
        """Search by name."""
        return Q(name=term)

    def tables(self, row: Any) -> list[Table]:
        """Show who closed, reopened and sealed it."""
        return [
            Table(
                "What was done",
                ("Status", "Who", "When", "Why", "Through entry"),
                [
                    (
                        cells.label(change.get_status_display(), TONES[PeriodStatus(change.status)]),
                        change.actor,
                        cells.moment(change.recorded_at),
                        cells.long(change.note),
                        str(change.through_entry_id),
                    )
                    for change in row.changes.order_by("pk")
                ],
                "Nobody closed it yet.",
            )
        ]

    # Named by a method: a permission's own name makes the theme's start-up check ask the database, which may be empty.
    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Let those decide who may close periods."""
        return self.may(request, periods.RIGHT)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the period's status allows."""
        row: Any = self.get_object(request, str(object_id))
        if row is None or not self.has_decide_permission(request):
            return []
        names = {PeriodStatus.OPEN: ("close",), PeriodStatus.CLOSING: ("reopen", "seal")}.get(row.status, ())
        return [self.get_unfold_action(name) for name in names]

    @action(description="Open a period", url_path="open", icon="event", permissions=["decide"])
    def open_next(self, request: HttpRequest) -> HttpResponse:
        """Ask for name and end, and open the next period."""
        return self.ask(
            request,
            NewPeriodForm(posted(request)),
            title="Open a period",
            meaning="It begins where the last one ends, and ends before the moment that you name.",
            call=periods.open_next,
        )

    @action(description="Close", url_path="close", icon="event_available", permissions=["decide"])
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Close the period."""
        row = _find(object_id)
        return self.ask(
            request,
            NoteForm(posted(request)),
            title=said("Close {0}", row.name),
            meaning="What comes late is dated in the next period from now on. A second person seals it.",
            call=partial(periods.close, name=row.name),
            row=row,
        )

    @action(description="Open again", url_path="reopen", icon="undo", permissions=["decide"])
    def reopen(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open a closed period again."""
        row = _find(object_id)
        return self.ask(
            request,
            NoteForm(posted(request)),
            title=said("Open {0} again", row.name),
            meaning="Entries may be dated in it again, and it must be closed again before it is sealed.",
            call=partial(periods.reopen, name=row.name),
            row=row,
        )

    @action(
        description="Seal",
        url_path="seal",
        icon="lock",
        variant=ActionVariant.PRIMARY,
        permissions=["decide"],
    )
    def seal(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Seal a closed period, with the digest of the figures that the page shows."""
        row = _find(object_id)
        try:
            figures = periods.figures(row)
        except GovPayError as error:
            self.message_user(request, error.message, messages.ERROR)
            return redirect(cells.page_of(Period, row.pk))
        return self.ask(
            request,
            SealForm(posted(request), initial={"digest": figures.digest.hex()}),
            title=said("Seal {0}", row.name),
            meaning=said(
                "{0} entries, and a trial balance whose SHA-256 is {1}, are sealed for good: nothing is dated "
                "before its end any more. The trial balance as of its last moment shows them.",
                f"{figures.entry_count:,}",
                figures.digest.hex(),
            ),
            call=partial(periods.seal, name=row.name),
            row=row,
        )

    @display(description="period")
    def title(self, row: Period) -> str:
        """Its name."""
        return row.name

    @display(description="begins")
    def begins(self, row: Any) -> str:
        """Where the one before ends."""
        return cells.moment(row.starts_at)

    @display(description="ends before")
    def ends(self, row: Period) -> str:
        """The first moment after it."""
        return cells.moment(row.ends_at)

    @display(description="state")
    def state(self, row: Any) -> str:
        """Open, closing or sealed."""
        status = PeriodStatus(row.status)
        return cells.label(status.label, TONES[status])

    @display(description="opened by")
    def opener(self, row: Period) -> str:
        """Who opened it."""
        return row.opened_by

    @display(description="figures")
    def figures(self, row: Any) -> str:
        """What was closed."""
        if row.status == PeriodStatus.OPEN:
            return cells.EMPTY
        return cells.whole(periods.figures(row).digest.hex())


def _find(object_id: str) -> Any:
    return find_row(lambda pk: selectors.get_period(pk=pk), object_id)
