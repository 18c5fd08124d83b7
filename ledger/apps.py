"""The ledger application."""

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """Books and reconciliation."""

    name = "ledger"
    verbose_name = "Ledger"
