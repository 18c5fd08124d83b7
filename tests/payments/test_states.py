"""The transition table: its diagram, its dead ends, and every pair of states."""

import re
from itertools import product
from pathlib import Path

import pytest

from payments import states

ROOT = Path(__file__).resolve().parents[2]
CHOICES = {
    "disbursement": states.DisbursementStatus,
    "payment": states.PaymentStatus,
    "payout": states.PayoutStatus,
    "import": states.ImportStatus,
    "intervention": states.InterventionStatus,
    "proposal": states.ProposalStatus,
    "warrant": states.WarrantStatus,
    "grievance": states.GrievanceStatus,
    "entitlement": states.EntitlementStatus,
    "bankfile": states.BankFileStatus,
    "decision": states.DecisionStatus,
    "leg": states.LegStatus,
    "voucher": states.VoucherStatus,
}
TERMINAL = {
    "disbursement": {"rejected", "cancelled"},
    "payment": {"cancelled"},
    "payout": {"unsealed"},
    "import": {"done", "refused", "cancelled"},
    "intervention": {"done", "rejected", "withdrawn", "failed"},
    "proposal": {"confirmed", "rejected", "withdrawn"},
    "warrant": {"confirmed", "rejected", "withdrawn"},
    "grievance": {"closed", "withdrawn"},
    "entitlement": {"listed", "expired", "withdrawn"},
    "bankfile": {"answered"},
    "decision": {"carried", "withdrawn", "void"},
    "leg": {"paid", "freed"},
    "voucher": {"redeemed", "expired", "cancelled"},
}


class TestDiagram:
    @pytest.mark.parametrize("subject", sorted(states.TRANSITIONS))
    def test_equals_the_table(self, subject: str) -> None:
        text = (ROOT / "ARCHITECTURE.md").read_text()
        drawn = re.search(rf"### {subject.capitalize()}\n\n```mermaid\nstateDiagram-v2\n(.*?)```", text, re.S)
        assert drawn is not None
        arrows = re.findall(r"^    (\w+) --> (\w+): (.+)$", drawn[1], re.M)
        assert arrows == [(str(a.old), str(a.new), a.reason) for a in states.TRANSITIONS[subject]]


class TestTable:
    @pytest.mark.parametrize("subject", sorted(states.TRANSITIONS))
    def test_has_exactly_the_terminal_states_that_were_meant(self, subject: str) -> None:
        with_way_out = {str(arrow.old) for arrow in states.TRANSITIONS[subject]}
        assert {choice.value for choice in CHOICES[subject]} - with_way_out == TERMINAL[subject]

    @pytest.mark.parametrize("subject", sorted(states.TRANSITIONS))
    def test_answers_every_pair(self, subject: str) -> None:
        allowed = {(a.old, a.new): a.reason for a in states.TRANSITIONS[subject]}
        for old, new in product(CHOICES[subject], repeat=2):
            if (old, new) in allowed:
                assert states.reason_of(subject, old, new) == allowed[old, new]
            else:
                with pytest.raises(states.StatusConflict):
                    states.reason_of(subject, old, new)
