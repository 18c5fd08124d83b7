"""Evidence packs and receipts: what an auditor, or the person who was paid, checks with ``ledger/verify.py`` alone."""
