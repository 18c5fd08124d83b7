"""Tables of the ledger."""

from ledger.models.account import Account, AccountKind, Elements
from ledger.models.audit import AuditEvent, Door
from ledger.models.case import Case, CaseEvent, CaseStatus, Resolution
from ledger.models.day import DayMark, DayTotal
from ledger.models.entry import Entry, Layer, Posting
from ledger.models.inflow import Inflow, InflowClass, InflowKind, ReserveValuation
from ledger.models.lot import LotMovement, MovementKind
from ledger.models.pack import PackJob, PackKind, PackPart, PackStatus
from ledger.models.period import Period, PeriodChange, PeriodStatus
from ledger.models.reconciliation import Break, BreakKind, ReconciliationRun, RunStatus
from ledger.models.redaction import Redaction, RedactionRequest
from ledger.models.reserve import Badge, ReserveBalance, ReserveCoin, ReserveScan, ReserveScanLoss
from ledger.models.seal import Checkpoint, Cosignature, Leaf, LeafPayload, LeafSalt, Seal, Subtree
from ledger.models.standing import Outcome, ReadBlock, ReadOutput, ReadSpend, ReadTx, RunUnderWay, Standing

__all__ = [
    "Account",
    "AccountKind",
    "AuditEvent",
    "Badge",
    "Break",
    "BreakKind",
    "Case",
    "CaseEvent",
    "CaseStatus",
    "Checkpoint",
    "Cosignature",
    "DayMark",
    "DayTotal",
    "Door",
    "Elements",
    "Entry",
    "Inflow",
    "InflowClass",
    "InflowKind",
    "Layer",
    "Leaf",
    "LeafPayload",
    "LeafSalt",
    "LotMovement",
    "MovementKind",
    "Outcome",
    "PackJob",
    "PackKind",
    "PackPart",
    "PackStatus",
    "Period",
    "PeriodChange",
    "PeriodStatus",
    "Posting",
    "ReadBlock",
    "ReadOutput",
    "ReadSpend",
    "ReadTx",
    "ReconciliationRun",
    "Redaction",
    "RedactionRequest",
    "ReserveBalance",
    "ReserveCoin",
    "ReserveScan",
    "ReserveScanLoss",
    "ReserveValuation",
    "Resolution",
    "RunStatus",
    "RunUnderWay",
    "Seal",
    "Standing",
    "Subtree",
]
