"""Cases of reconciliation in the admin: readers look, those who may resolve them do, each as one of two."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from govpay.said import said
from ledger.admin import board, case_forms, cells
from ledger.admin.base import BookAdmin, Table, find_row, posted
from ledger.admin.case_columns import CaseColumns, entry_link
from ledger.admin.filters import ScopeFilter, by_number
from ledger.models import Case, CaseStatus, Resolution
from ledger.reconciliation import cases, suspense

S = CaseStatus
AS_BEFORE = "The case is what it was before."


@admin.register(Case)
class CaseAdmin(CaseColumns, BookAdmin):
    """Breaks that people work on, latest first."""

    list_display = ("number", "of_scope", "type", "state", "owned", "amount", "age", "brief")
    list_select_related = cases.SHOWN
    list_filter = (
        ScopeFilter,
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        board.AgeFilter,
        board.OwnerFilter,
        by_number("payment", "payment_id"),
    )
    fields = (
        ("state", "type", "owned"),
        "meaning",
        ("asked", "seen", "amount"),
        ("about", "outpoint"),
        ("age", "opened", "closed"),
        ("first", "last"),
        ("resolution", "explanation"),
        ("evidence", "booked", "target"),
        "standing",
        ("proposer", "decider"),
    )
    actions_list = ("board",)
    actions_detail = ("assign", "propose", "move", "undo", "approve", "reject", "withdraw")
    when_empty = "No run ever found a break."

    def tables(self, row: Any) -> list[Table]:
        """Show what happened to it, and what was booked to suspense and out of it."""
        events = row.events.order_by("pk")
        happened = Table(
            "What happened",
            ("What", "Who", "When", "Why", "Entry"),
            [
                (e.action, e.actor, cells.moment(e.recorded_at), cells.long(e.note), entry_link(e.entry_id))
                for e in events
            ],
        )
        if not row.suspense_ref:
            return [happened]
        lines = suspense.lines(row).select_related("entry").order_by("pk")
        booked = Table(
            "On suspense",
            ("Entry", "What", "When", "Amount"),
            [
                (
                    entry_link(p.entry_id),
                    p.entry.kind,
                    cells.moment(p.entry.effective_at),
                    cells.amount(p.amount),
                )
                for p in lines
            ],
        )
        return [happened, booked]

    # Named by a method: a permission's own name makes the theme's start-up check ask the database, which may be empty.
    def has_resolve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Let those work on cases who may resolve them."""
        return self.may(request, cases.RIGHT)

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
        elif row.status == S.SUSPENDED:
            names += ("move",)
        if row.status in (S.SUSPENDED, S.CLOSED) and row.suspense_ref:
            names += ("undo",)
        return [self.get_unfold_action(name) for name in names]

    @action(description="Board", url_path="board", icon="table_chart", permissions=["view"])
    def board(self, request: HttpRequest) -> HttpResponse:
        """Count the open cases by kind, owner and age."""
        return board.show(self, request)

    @action(description="Assign", url_path="assign", icon="person", permissions=["resolve"])
    def assign(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let somebody own it."""
        meaning = "Somebody who may resolve cases sees to it."
        row = find_row(cases.get, object_id)
        return self._ask(request, row, case_forms.OwnerForm(posted(request)), "Assign", meaning, cases.assign)

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
        row = find_row(cases.get, object_id)
        return self._ask(
            request, row, case_forms.ProposalForm(posted(request)), "Propose", meaning, cases.propose
        )

    @action(
        description="Move out of suspense",
        url_path="move",
        icon="drive_file_move",
        variant=ActionVariant.PRIMARY,
        permissions=["resolve"],
    )
    def move(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say where it belongs that is in suspense."""
        row = find_row(cases.get, object_id)
        meaning = said(
            "On suspense stands {0}. Say to which account it belongs, and name the evidence. It is moved "
            "once another person agrees.",
            _on_suspense(row),
        )
        call = partial(cases.propose, resolution=Resolution.ACCOUNT)
        return self._ask(
            request,
            row,
            case_forms.MoveForm(posted(request), case=row),
            "Propose a move out of suspense",
            meaning,
            call,
        )

    @action(description="Undo a booking", url_path="undo", icon="history", permissions=["resolve"])
    def undo(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say which booking to suspense, or out of it, was wrong."""
        meaning = (
            "A booking to suspense, or out of it, that was wrong is reversed once another person agrees."
        )
        row = find_row(cases.get, object_id)
        call = partial(cases.propose, resolution=Resolution.REVERSAL)
        return self._ask(
            request,
            row,
            case_forms.UndoForm(posted(request), case=row),
            "Propose to undo a booking",
            meaning,
            call,
        )

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
        meaning = f"{row.get_resolution_display()}: {row.note} {_booked_by(row)}".strip()
        return self._decide(request, row, case_forms.DecisionForm, "Approve", meaning, cases.approve)

    @action(
        description="Reject",
        url_path="reject",
        icon="close",
        variant=ActionVariant.WARNING,
        permissions=["resolve"],
    )
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Refuse as a second person."""
        row = find_row(cases.get, object_id)
        return self._decide(request, row, case_forms.RefusalForm, "Reject", AS_BEFORE, cases.reject)

    @action(description="Withdraw", url_path="withdraw", icon="undo", permissions=["resolve"])
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take back what one proposed."""
        row = find_row(cases.get, object_id)
        return self._decide(request, row, case_forms.WithdrawalForm, "Withdraw", AS_BEFORE, cases.withdraw)

    def _ask(
        self,
        request: HttpRequest,
        row: Case,
        form: forms.Form,
        title: str,
        meaning: str,
        call: Callable[..., object],
    ) -> HttpResponse:
        named = said("{0}: case {1}", title, row.pk)
        return self.ask(
            request, form, title=named, meaning=meaning, call=partial(call, case_id=row.pk), row=row
        )

    def _decide(
        self,
        request: HttpRequest,
        row: Case,
        form_class: type[forms.Form],
        title: str,
        meaning: str,
        call: Callable[..., object],
    ) -> HttpResponse:
        """Ask about the proposal that the page shows, and about no other."""
        form = form_class(posted(request), initial={"proposal": row.proposal})
        return self._ask(request, row, form, title, meaning, call)


def _on_suspense(case: Case) -> str:
    standing_sat = suspense.standing_sat(case)
    return f"a {'debit' if standing_sat > 0 else 'credit'} of {abs(standing_sat):,} sat"


def _booked_by(case: Case) -> str:
    """Say what approving a proposal books."""
    if case.resolution == Resolution.SUSPENSE:
        return f"{case.amount_sat:,} sat are booked between the wallet and suspense."
    if case.resolution == Resolution.ACCOUNT:
        return said("What stands on suspense, {0}, moves to {1}.", _on_suspense(case), case.account)
    if case.resolution == Resolution.REVERSAL:
        return f"Entry {case.entry_id} is reversed."
    return ""
