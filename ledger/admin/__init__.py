"""The admin of the ledger, by noun: the books to look at, and one button that reconciles."""

from ledger.admin import account, entry, reconciliation

__all__ = ["account", "entry", "reconciliation"]
