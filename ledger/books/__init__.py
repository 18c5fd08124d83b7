"""The books: entries are posted, undone and added up in whole units, batched and idempotent, and never changed."""

from ledger.books.accounts import AccountMissing, AccountTaken, NewAccount, open_accounts
from ledger.books.balances import BALANCE_NOW, AccountBalance, TrialBalance, balance, trial_balance
from ledger.books.days import Standing, standing, trial
from ledger.books.draft import MOST, Draft, Line, UnbalancedEntry
from ledger.books.posting import AlreadyUndone, IdempotencyConflict, PeriodSealed, post
from ledger.books.undoing import NothingHeld, drop, reverse, reverse_each, settle

__all__ = [
    "BALANCE_NOW",
    "MOST",
    "AccountBalance",
    "AccountMissing",
    "AccountTaken",
    "AlreadyUndone",
    "Draft",
    "IdempotencyConflict",
    "Line",
    "NewAccount",
    "NothingHeld",
    "PeriodSealed",
    "Standing",
    "TrialBalance",
    "UnbalancedEntry",
    "balance",
    "drop",
    "open_accounts",
    "post",
    "reverse",
    "reverse_each",
    "settle",
    "standing",
    "trial",
    "trial_balance",
]
