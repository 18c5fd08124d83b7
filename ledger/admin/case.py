"""Cases of reconciliation in the admin: readers look, those who may resolve them do, each as one of two."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from ledger.admin import cells
from ledger.admin.base import BookAdmin, Table, find_row, posted
from ledger.admin.filters import ScopeFilter, by_number
from ledger.models import Account, Case, CaseStatus, Entry, ReconciliationRun, Resolution
from ledger.reconciliation import cases, suspense

S = CaseStatus
TONES = {
    S.OPEN: cells.BAD,
    S.PROPOSED: cells.UNSURE,
    S.EXPLAINED: cells.GOOD,
    S.SUSPENDED: cells.UNSURE,
    S.CLOSED: cells.PLAIN,
}
ASKED_OF_OPEN = [kind for kind in Resolution if kind not in cases.PROPOSED_FOR]
AS_BEFORE = "The case is what it was before."


class OwnerForm(forms.Form):
    """Who shall own it."""

    owner = forms.CharField(max_length=150, label="User name")


class NoteForm(forms.Form):
    """What it is, and the hash of what shows it."""

    note = forms.CharField(max_length=cases.MAX_NOTE, label="What it is, and how you know")
    evidence_sha256 = forms.RegexField("^[0-9a-f]{64}$", required=False, label="SHA-256 of a file")

    def clean_evidence_sha256(self) -> bytes | None:
        """Return its bytes, where there is one."""
        return bytes.fromhex(self.cleaned_data["evidence_sha256"]) or None


class ProposalForm(NoteForm):
    """What an open case is."""

    resolution = forms.ChoiceField(choices=[(kind.value, kind.label) for kind in ASKED_OF_OPEN])
    entry_id = forms.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, label="Number of the entry"
    )
    field_order = ("resolution",)


class MoveForm(NoteForm):
    """Where it belongs that is in suspense."""

    account = forms.ChoiceField()
    field_order = ("account",)

    def __init__(self, *args: Any, case: Case, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["evidence_sha256"].required = True
        codes = suspense.account_codes(case.scope)
        self.fields["account"].choices = [(code, code) for code in codes]  # type: ignore[attr-defined]


class UndoForm(NoteForm):
    """Which booking was wrong."""

    entry_id = forms.TypedChoiceField(coerce=int, label="Booking")
    field_order = ("entry_id",)

    def __init__(self, *args: Any, case: Case, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["note"].label = "Why it was wrong"
        bookings = [(entry.pk, f"Entry {entry.pk}: {entry.kind}") for entry in suspense.bookings(case)]
        self.fields["entry_id"].choices = bookings  # type: ignore[attr-defined]


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

    list_display = ("number", "scope", "type", "state", "owned", "amount", "age", "brief")
    list_select_related = cases.SHOWN
    list_filter = (
        ScopeFilter,
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
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
    actions_detail = ("assign", "propose", "move", "undo", "approve", "reject", "withdraw")
    when_empty = "No run ever found a break."

    def tables(self, row: Any) -> list[Table]:
        """Show what happened to it, and what was booked to suspense and out of it."""
        events = row.events.order_by("pk")
        happened = Table(
            "What happened",
            ("What", "Who", "When", "Why", "Entry"),
            [
                (e.action, e.actor, cells.moment(e.recorded_at), cells.long(e.note), _entry(e.entry_id))
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
                    _entry(p.entry_id),
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

    @action(description="Assign", url_path="assign", icon="person", permissions=["resolve"])
    def assign(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let somebody own it."""
        meaning = "Somebody who may resolve cases sees to it."
        row = find_row(cases.get, object_id)
        return self._ask(request, row, OwnerForm(posted(request)), "Assign", meaning, cases.assign)

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
        return self._ask(request, row, ProposalForm(posted(request)), "Propose", meaning, cases.propose)

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
        meaning = (
            f"On suspense stands {_on_suspense(row)}. Say to which account it belongs, and name the evidence. It is moved"
            " once another person agrees."
        )
        call = partial(cases.propose, resolution=Resolution.ACCOUNT)
        return self._ask(
            request, row, MoveForm(posted(request), case=row), "Propose a move out of suspense", meaning, call
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
            request, row, UndoForm(posted(request), case=row), "Propose to undo a booking", meaning, call
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
        return self._decide(request, row, DecisionForm, "Approve", meaning, cases.approve)

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
        return self._decide(request, row, RefusalForm, "Reject", AS_BEFORE, cases.reject)

    @action(description="Withdraw", url_path="withdraw", icon="undo", permissions=["resolve"])
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take back what one proposed."""
        row = find_row(cases.get, object_id)
        return self._decide(request, row, WithdrawalForm, "Withdraw", AS_BEFORE, cases.withdraw)

    def _ask(
        self,
        request: HttpRequest,
        row: Case,
        form: forms.Form,
        title: str,
        meaning: str,
        call: Callable[..., object],
    ) -> HttpResponse:
        named = f"{title}: case {row.pk}"
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

    @display(description="what it means")
    def meaning(self, row: Case) -> str:
        """What differs, in a sentence."""
        return cells.sentence(row.message)

    @display(description="what it means")
    def brief(self, row: Case) -> str:
        """What differs, in a sentence whose hashes are shortened."""
        return cells.sentence(row.message, is_short=True)

    @display(description="expected")
    def asked(self, row: Case) -> str:
        """What should be there."""
        return cells.compared(row.expected)

    @display(description="found")
    def seen(self, row: Case) -> str:
        """What is there."""
        return cells.compared(row.found)

    @display(description="about")
    def about(self, row: Case) -> str:
        """What it is about, in the books' words."""
        return cells.whole(row.unit)

    # Plain names: links to users are for those who may change them.
    @display(description="proposed by")
    def proposer(self, row: Case) -> str:
        """Who proposed."""
        return cells.EMPTY if row.proposed_by is None else row.proposed_by.get_username()

    @display(description="decided by")
    def decider(self, row: Case) -> str:
        """Who decided."""
        return cells.EMPTY if row.decided_by is None else row.decided_by.get_username()

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
        return _entry(row.entry_id)

    @display(description="to the account")
    def target(self, row: Case) -> str:
        """Where it goes from suspense."""
        return (
            cells.EMPTY
            if row.account is None
            else cells.link(cells.page_of(Account, row.account.pk), row.account)
        )

    @display(description="on suspense")
    def standing(self, row: Case) -> str:
        """What stands on suspense for it."""
        return cells.amount(suspense.standing_sat(row)) if row.suspense_ref else cells.EMPTY


def _entry(entry_id: int | None) -> str:
    return (
        cells.EMPTY if entry_id is None else cells.link(cells.page_of(Entry, entry_id), f"Entry {entry_id}")
    )


def _on_suspense(case: Case) -> str:
    standing_sat = suspense.standing_sat(case)
    return f"a {'debit' if standing_sat > 0 else 'credit'} of {abs(standing_sat):,} sat"


def _booked_by(case: Case) -> str:
    """Say what approving a proposal books."""
    if case.resolution == Resolution.SUSPENSE:
        return f"{case.amount_sat:,} sat are booked between the wallet and suspense."
    if case.resolution == Resolution.ACCOUNT:
        return f"What stands on suspense, {_on_suspense(case)}, moves to {case.account}."
    if case.resolution == Resolution.REVERSAL:
        return f"Entry {case.entry_id} is reversed."
    return ""
