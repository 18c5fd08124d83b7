"""Tables of the ledger."""

from ledger.models.account import Account, AccountKind, Elements
from ledger.models.entry import Entry, Layer, Posting
from ledger.models.period import Period, PeriodChange, PeriodStatus
from ledger.models.reconciliation import Break, BreakKind, ReconciliationRun, RunStatus
from ledger.models.seal import Checkpoint, Cosignature, Leaf, LeafPayload, LeafSalt, Seal, Subtree

__all__ = [
    "Account",
    "AccountKind",
    "Break",
    "BreakKind",
    "Checkpoint",
    "Cosignature",
    "Elements",
    "Entry",
    "Layer",
    "Leaf",
    "LeafPayload",
    "LeafSalt",
    "Period",
    "PeriodChange",
    "PeriodStatus",
    "Posting",
    "ReconciliationRun",
    "RunStatus",
    "Seal",
    "Subtree",
]
