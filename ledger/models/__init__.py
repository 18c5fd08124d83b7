"""Tables of the ledger."""

from ledger.models.account import Account, AccountKind
from ledger.models.entry import Entry, Posting
from ledger.models.reconciliation import Break, BreakKind, ReconciliationRun, RunStatus

__all__ = [
    "Account",
    "AccountKind",
    "Break",
    "BreakKind",
    "Entry",
    "Posting",
    "ReconciliationRun",
    "RunStatus",
]
