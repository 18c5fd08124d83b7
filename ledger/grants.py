"""What the application's database role may do with the ledger's tables: read and add, never change or take away."""

TABLE_GRANTS: dict[str, list[str]] = {
    "ledger_account": ["SELECT", "INSERT"],
    "ledger_entry": ["SELECT", "INSERT"],
    "ledger_posting": ["SELECT", "INSERT"],
    "ledger_reconciliationrun": ["SELECT", "INSERT"],
    "ledger_break": ["SELECT", "INSERT"],
}
