"""The books, and what proves them: entries that never change, reconciliation against the chain."""
