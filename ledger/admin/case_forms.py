"""What is asked of people who work on a case of reconciliation."""

from typing import Any

from django import forms

from govpay.said import said
from ledger.models import Case, Resolution
from ledger.reconciliation import cases, suspense

ASKED_OF_OPEN = [kind for kind in Resolution if kind not in cases.PROPOSED_FOR]


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
        bookings = [
            (entry.pk, said("Entry {0}: {1}", entry.pk, entry.kind)) for entry in suspense.bookings(case)
        ]
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
