"""Redactions in the admin: seen by readers of the books, asked for and agreed to by two who may."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.errors import NotFound
from govpay.said import said
from ledger import selectors
from ledger.admin import cells
from ledger.admin.base import BookAdmin, find_row, posted
from ledger.models import AuditEvent, Entry, Period, ReconciliationRun, RedactionRequest
from ledger.seals import redaction

MAX_ID = 2**63 - 1
# The form of a request; an entry's page leads to it with the number of the entry.
ASK = "admin:ledger_redactionrequest_ask_for"


class RequestForm(forms.Form):
    """What is to be blacked out, and why."""

    entry_id = forms.IntegerField(label="Number of the entry", required=False, min_value=1, max_value=MAX_ID)
    index = forms.IntegerField(
        label="Or of the leaf",
        required=False,
        min_value=0,
        max_value=MAX_ID,
        help_text="Of what is no entry, such as what was done with a period.",
    )
    why = forms.CharField(
        label="Why",
        max_length=redaction.MOST_WHY,
        help_text="Without personal data: it is shown in packs.",
    )

    def clean(self) -> None:
        """Ask for one of both numbers."""
        found = [self.cleaned_data.get(name) is not None for name in ("entry_id", "index")]
        if not self.errors and sum(found) != 1:
            self.add_error("entry_id", "Name an entry or a leaf, and not both.")


@admin.register(RedactionRequest)
class RedactionRequestAdmin(BookAdmin):
    """What was asked to be blacked out, latest first."""

    list_display = ("number", "subject", "state", "asker", "agreed", "reason")
    fields = (("state", "subject", "place"), ("asker", "asked"), ("agreed", "when"), "reason")
    search_fields = ("pk",)
    search_help_text = "Search by number"
    actions_list = ("ask_for",)
    actions_detail = ("agree",)
    when_empty = "Nobody asked for a redaction."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any, Any]:
        """Return the requests with what came of them."""
        return selectors.redaction_requests()

    # Named by a method: a permission's own name makes the theme's start-up check ask the database, which may be empty.
    def has_redact_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Let those ask and agree who may black out."""
        return self.may(request, redaction.RIGHT)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer to agree to what waits and somebody else asked for."""
        row: Any = self.get_object(request, str(object_id))
        if row is None or row.is_redacted or row.user_id == request.user.pk:
            return []
        return [self.get_unfold_action("agree")] if self.has_redact_permission(request) else []

    @action(
        description="Ask for a redaction",
        url_path="ask",
        icon="edit_off",
        variant=ActionVariant.PRIMARY,
        permissions=["redact"],
    )
    def ask_for(self, request: HttpRequest) -> HttpResponse:
        """Ask what, and why."""
        return self.ask(
            request,
            RequestForm(posted(request), initial={"entry_id": request.GET.get("entry_id")}),
            title="Ask for a redaction",
            meaning="Once another person agrees, salt and sealed bytes are deleted for good. The hash stays, and with it the"
            " tree; the entry stays in the books, and leaves them in no pack any more.",
            call=redaction.ask,
            done="Another person who may black out decides.",
        )

    @action(
        description="Agree",
        url_path="agree",
        icon="check",
        variant=ActionVariant.DANGER,
        permissions=["redact"],
    )
    def agree(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Agree as a second person."""
        row = find_row(_get, object_id)
        return self.ask(
            request,
            forms.Form(posted(request)),
            title=f"Agree to request {row.pk}",
            meaning=said(
                "{0} asks to black out leaf {1}: {2} Nobody can undo it, and the files of packs that hold it "
                "are deleted too.",
                row.asked_by,
                row.leaf_id,
                row.why,
            ),
            call=partial(redaction.carry_out, request_id=row.pk),
            row=row,
            done=f"Leaf {row.leaf_id} is blacked out.",
        )

    @display(description="request")
    def number(self, row: Any) -> str:
        """Its number."""
        return f"Request {row.pk}"

    @display(description="of")
    def subject(self, row: Any) -> str:
        """What the leaf is of."""
        if row.entry_id is not None:
            return cells.link(cells.page_of(Entry, row.entry_id), f"Entry {row.entry_id}")
        if row.run_id is not None:
            return cells.link(cells.page_of(ReconciliationRun, row.run_id), f"Run {row.run_id}")
        if row.event_id is not None:
            return cells.link(cells.page_of(AuditEvent, row.event_id), f"Event {row.event_id}")
        return cells.link(cells.page_of(Period, row.period_id), f"what was done with period {row.period_id}")

    @display(description="leaf")
    def place(self, row: Any) -> str:
        """Its place in the tree."""
        return f"{row.leaf_id:,}"

    @display(description="state")
    def state(self, row: Any) -> str:
        """Whether it waits, or the leaf is blacked out."""
        if not row.is_redacted:
            return cells.label("waits for a second person", cells.UNSURE)
        return cells.label("blacked out" if row.approved_by else "blacked out by another request")

    @display(description="asked by")
    def asker(self, row: Any) -> str:
        """Who asked for it."""
        return row.asked_by  # type: ignore[no-any-return]

    @display(description="asked")
    def asked(self, row: Any) -> str:
        """When it was asked for."""
        return cells.moment(row.asked_at)

    @display(description="agreed by")
    def agreed(self, row: Any) -> str:
        """Who agreed."""
        return row.approved_by or cells.EMPTY

    @display(description="blacked out")
    def when(self, row: Any) -> str:
        """When it happened."""
        return cells.moment(row.redacted_at)

    @display(description="why")
    def reason(self, row: Any) -> str:
        """Why."""
        return cells.long(row.why)


def _get(request_id: int) -> RedactionRequest:
    row = selectors.redaction_requests().filter(pk=request_id).first()
    if row is None:
        raise NotFound(f"There is no request {request_id} for a redaction.")
    return row
