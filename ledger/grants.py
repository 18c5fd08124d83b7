"""What database roles may do with the ledger's tables: read and add at most, never change or take away."""

READ, ADD = ["SELECT"], ["SELECT", "INSERT"]
WORK = ["SELECT", "INSERT", "UPDATE"]
CHANGE = [*WORK, "DELETE"]
# Where reconciliation stands; it is no proof, and a full run makes it anew.
STANDING = (
    "ledger_standing",
    "ledger_readblock",
    "ledger_readtx",
    "ledger_readoutput",
    "ledger_readspend",
    "ledger_outcome",
)
# What people work on, or can be made anew; what they did is added elsewhere.
CHANGING = ("ledger_case", *STANDING)
SEALS = (
    "ledger_leaf",
    "ledger_leafpayload",
    "ledger_leafsalt",
    "ledger_subtree",
    "ledger_seal",
    "ledger_checkpoint",
    "ledger_cosignature",
)

# The application's role.
TABLE_GRANTS: dict[str, list[str]] = {
    "ledger_account": ADD,
    "ledger_entry": ADD,
    "ledger_posting": ADD,
    "ledger_period": ADD,
    "ledger_periodchange": ADD,
    "ledger_reconciliationrun": ADD,
    "ledger_break": ADD,
    "ledger_case": WORK,
    "ledger_caseevent": ADD,
    **dict.fromkeys(STANDING, CHANGE),
    **dict.fromkeys(SEALS, READ),
}
# The role of the process that seals the books: it reads them, and adds to nothing but its own tables.
SEALER_GRANTS: dict[str, list[str]] = {
    "ledger_account": READ,
    "ledger_entry": READ,
    "ledger_posting": READ,
    "ledger_period": READ,
    "ledger_periodchange": READ,
    "ledger_reconciliationrun": READ,
    "ledger_break": READ,
    **dict.fromkeys(SEALS, ADD),
}
# What an auditor, who reads everything else, is not shown.
AUDITOR_HIDDEN: dict[str, list[str]] = {}
