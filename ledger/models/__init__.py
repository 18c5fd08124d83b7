"""Tables of the ledger."""

from ledger.models.account import Account, AccountKind, Elements
from ledger.models.entry import Entry, Layer, Posting
from ledger.models.period import Period, PeriodChange, PeriodStatus
from ledger.models.reconciliation import Break, BreakKind, ReconciliationRun, RunStatus

__all__ = [
    "Account",
    "AccountKind",
    "Break",
    "BreakKind",
    "Elements",
    "Entry",
    "Layer",
    "Period",
    "PeriodChange",
    "PeriodStatus",
    "Posting",
    "ReconciliationRun",
    "RunStatus",
]
