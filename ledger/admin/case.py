"""Cases of reconciliation in the admin: readers look, those who may resolve them do, each as one of two."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.errors import GovPayError
from ledger.admin import cells
from ledger.admin.base import BookAdmin, Table, find_row
from ledger.admin.filters import ScopeFilter, by_number
from ledger.models import Case, CaseStatus, Entry, ReconciliationRun, Resolution
from ledger.reconciliation import cases

S = CaseStatus
TONES = {S.OPEN: cells.BAD, S.PROPOSED: cells.UNSURE, S.EXPLAINED: cells.GOOD, S.CLOSED: cells.PLAIN}


class OwnerForm(forms.Form):
    """Who shall own it."""

    owner = forms.CharField(max_length=150, label="User name")


class ProposalForm(forms.Form):
    """What it is."""

    resolution = forms.ChoiceField(choices=Resolution.choices)
    note = forms.CharField(max_length=cases.MAX_NOTE, label="What it is, and how you know")
    entry_id = forms.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, label="Number of the entry"
    )
    evidence_sha256 = forms.RegexField("^[0-9a-f]{64}$", required=False, label="SHA-256 of a file")


class DecisionForm(forms.Form):
    """Which proposal was looked at, and what there is to say."""

    proposal = forms.IntegerField(widget=forms.HiddenInput)
    note = forms.CharField(max_length=cases.MAX_NOTE, required=False)


class RefusalForm(DecisionForm):
    """Why not."""

    note = forms.CharField(max_length=cases.MAX_NOTE)


class WithdrawalForm(forms.Form):
    """Which proposal was looked at."""

    proposal = forms.IntegerField(widget=forms.HiddenInput)


@admin.register(Case)
class CaseAdmin(BookAdmin):
    """Breaks that people work on, latest first."""

    list_display = ("number", "scope", "type", "state", "owned", "amount", "age", "message")
    list_select_related = cases.SHOWN
    list_filter = (
        ScopeFilter,
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        by_number("payment", "payment_id"),
    )
    fields = (
        ("state", "type", "owned"),
        "message",
        ("expected", "found", "amount"),
        ("unit", "outpoint"),
        ("age", "opened", "closed"),
        ("first", "last"),
        ("resolution", "explanation"),
        ("evidence", "booked"),
        ("proposed_by", "decided_by"),
    )
    actions_detail = ("assign", "propose", "approve", "reject", "withdraw")
    when_empty = "No run ever found a break."

    def tables(self, row: Any) -> list[Table]:
        """Show what happened to it."""
        events = row.events.order_by("pk")
        return [
            Table(
                "What happened",
                ("What", "Who", "When", "Why"),
                [(e.action, e.actor, cells.moment(e.recorded_at), cells.long(e.note)) for e in events],
            )
        ]

    # Named by a method: a permission's own name makes the theme's start-up check ask the database, which may be empty.
    def has_resolve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Let those work on cases who may resolve them."""
        return request.user.has_perm(cases.RIGHT)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what status and people allow."""
        row: Any = self.get_object(request, str(object_id))
        if row is None or not self.has_resolve_permission(request):
            return []
        is_mine = row.proposed_by_id == request.user.pk
        names: tuple[str, ...] = () if row.status == S.CLOSED else ("assign",)
        if row.status == S.OPEN:
            names += ("propose",)
        elif row.status == S.PROPOSED:
            names += ("withdraw",) if is_mine else ("approve", "reject")
        return [self.get_unfold_action(name) for name in names]

    @action(description="Assign", url_path="assign", icon="person", permissions=["resolve"])
    def assign(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let somebody own it."""
        meaning = "Somebody who may resolve cases sees to it."
        return self._ask(request, object_id, OwnerForm, "Assign", meaning, cases.assign)

    @action(
        description="Propose",
        url_path="propose",
        icon="edit_note",
        variant=ActionVariant.PRIMARY,
        permissions=["resolve"],
    )
    def propose(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what it is."""
        meaning = (
            "An entry that was posted for it, evidence that explains it as it is, or suspense: nobody knows, and it is"
            " booked where it is seen until somebody does. Another person decides."
        )

        def call(**asked: Any) -> object:
            asked["evidence_sha256"] = bytes.fromhex(asked["evidence_sha256"]) or None
            return cases.propose(**asked)

        return self._ask(request, object_id, ProposalForm, "Propose", meaning, call)

    @action(
        description="Approve",
        url_path="approve",
        icon="check",
        variant=ActionVariant.PRIMARY,
        permissions=["resolve"],
    )
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Agree as a second person."""
        row = find_row(cases.get, object_id)
        meaning = f"{row.get_resolution_display()}: {row.note}"
        if row.resolution == Resolution.SUSPENSE:
            meaning += f" {row.amount_sat:,} sat are booked between the wallet and suspense."
        return self._ask(request, object_id, DecisionForm, "Approve", meaning, cases.approve)

    @action(
        description="Reject",
        url_path="reject",
        icon="close",
        variant=ActionVariant.WARNING,
        permissions=["resolve"],
    )
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Refuse as a second person."""
        meaning = "The case is open again."
        return self._ask(request, object_id, RefusalForm, "Reject", meaning, cases.reject)

    @action(description="Withdraw", url_path="withdraw", icon="undo", permissions=["resolve"])
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take back what one proposed."""
        meaning = "The case is open again."
        return self._ask(request, object_id, WithdrawalForm, "Withdraw", meaning, cases.withdraw)

    def _ask(
        self,
        request: HttpRequest,
        object_id: str,
        form_class: type[forms.Form],
        title: str,
        meaning: str,
        call: Callable[..., object],
    ) -> HttpResponse:
        """Show the form; once it is complete make the one call, and say what came of it."""
        row = find_row(cases.get, object_id)
        form = form_class(request.POST or None, initial={"proposal": row.proposal})
        back = cells.page_of(Case, row.pk)
        refusal = ""
        if request.method == "POST" and form.is_valid():
            try:
                call(by=request.user, case_id=row.pk, **form.cleaned_data)
            except GovPayError as error:
                refusal = error.message
            else:
                self.message_user(request, f"{title}: done.", messages.SUCCESS)
                return redirect(back)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": f"{title}: case {row.pk}",
            "meaning": meaning,
            "form": form,
            "refusal": refusal,
            "back": back,
        }
        status = 422 if form.errors or refusal else 200
        return TemplateResponse(request, "ledger/admin/period.html", context, status=status)

    @display(description="case")
    def number(self, row: Case) -> str:
        """Its number."""
        return f"Case {row.pk}"

    @display(description="kind")
    def type(self, row: Case) -> str:
        """What differs."""
        return row.get_kind_display()

    @display(description="state")
    def state(self, row: Case) -> str:
        """How far it has come."""
        return cells.label(row.get_status_display(), TONES[S(row.status)])

    @display(description="owner")
    def owned(self, row: Case) -> str:
        """Whose it is."""
        return str(row.owner or "nobody")

    @display(description="moved on chain")
    def amount(self, row: Case) -> str:
        """What the chain moved more than the books."""
        return cells.EMPTY if row.amount_sat is None else cells.amount(row.amount_sat)

    @display(description="age")
    def age(self, row: Case) -> str:
        """Blocks and days."""
        blocks, days = cases.age_blocks(row), cases.age_days(row)
        return f"{days:,} days" if blocks is None else f"{blocks:,} blocks, {days:,} days"

    @display(description="outpoint")
    def outpoint(self, row: Case) -> str:
        """Where to look on chain."""
        return cells.outpoint(row.txid, row.vout, is_short=False)

    @display(description="opened")
    def opened(self, row: Case) -> str:
        """Since when it has been there."""
        return cells.moment(row.opened_at)

    @display(description="closed")
    def closed(self, row: Case) -> str:
        """When it was gone."""
        return cells.moment(row.closed_at)

    @display(description="first found by")
    def first(self, row: Case) -> str:
        """The first run that found it."""
        return cells.link(cells.page_of(ReconciliationRun, row.first_run_id), f"Run {row.first_run_id}")

    @display(description="last found by")
    def last(self, row: Case) -> str:
        """The last run that found it."""
        return cells.link(cells.page_of(ReconciliationRun, row.last_run_id), f"Run {row.last_run_id}")

    @display(description="explanation")
    def explanation(self, row: Case) -> str:
        """What was proposed."""
        return cells.long(row.note)

    @display(description="SHA-256 of the file")
    def evidence(self, row: Case) -> str:
        """The hash of what is kept elsewhere."""
        return cells.whole(bytes(row.evidence_sha256).hex()) if row.evidence_sha256 else cells.EMPTY

    @display(description="entry")
    def booked(self, row: Case) -> str:
        """The entry that resolves it."""
        if row.entry_id is None:
            return cells.EMPTY
        return cells.link(cells.page_of(Entry, row.entry_id), f"Entry {row.entry_id}")
