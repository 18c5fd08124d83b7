"""The admin of the ledger, by noun: the books to look at, what is done with periods, and one button that reconciles."""

from ledger.admin import (
    account,
    audit,
    case,
    entry,
    lot,
    pack,
    period,
    reconciliation,
    redaction,
    reserve,
    seal,
)

__all__ = [
    "account",
    "audit",
    "case",
    "entry",
    "lot",
    "pack",
    "period",
    "reconciliation",
    "redaction",
    "reserve",
    "seal",
]
