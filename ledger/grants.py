"""What database roles may do with the ledger's tables: read and add at most, never change or take away."""

READ, ADD = ["SELECT"], ["SELECT", "INSERT"]
CHANGE = ["SELECT", "INSERT", "UPDATE", "DELETE"]
# What people and runs change of a case; what it is about stays, and a trigger keeps it from the owner of the table too.
OF_A_CASE = (
    "payout_id, txid, expected, found, message, amount_sat, status, owner_id, last_run_id, opened_at, opened_height,"
    " closed_at, proposal, resolution, note, evidence_sha256, entry_id, account_id, suspense_ref, proposed_by_id,"
    " decided_by_id"
)
WORK = ["SELECT", "INSERT", f"UPDATE ({OF_A_CASE})"]
# Where reconciliation stands; it is no proof, and a full run makes it anew.
STANDING = (
    "ledger_standing",
    "ledger_readblock",
    "ledger_readtx",
    "ledger_readoutput",
    "ledger_readspend",
    "ledger_outcome",
    "ledger_rununderway",
)
# What moved on each day; it is added up anew from the lines where it is lost.
DAYS = ("ledger_daytotal", "ledger_daymark")
# Packs that are being made, and their files, which are deleted after a while; what they prove stands in the books.
PACKS = ("ledger_packjob", "ledger_packpart")
# What people work on, or can be made anew; what they did is added elsewhere.
CHANGING = ("ledger_case", *STANDING, *DAYS, *PACKS)
# What was found at blocks, for ever.
RESERVE = (
    *("ledger_reservescan", "ledger_reservebalance", "ledger_reservecoin", "ledger_reservescanloss"),
    *("ledger_inflow", "ledger_inflowclass", "ledger_reservevaluation"),
)
SEALS = (
    "ledger_leaf",
    "ledger_leafpayload",
    "ledger_leafsalt",
    "ledger_subtree",
    "ledger_seal",
    "ledger_checkpoint",
    "ledger_cosignature",
)

# The application may delete of these, and the trigger lets it delete what two people blacked out and nothing else.
BLACKED_OUT = ("ledger_leafpayload", "ledger_leafsalt")

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
    **dict.fromkeys(DAYS, CHANGE),
    **dict.fromkeys(PACKS, CHANGE),
    "ledger_auditevent": ADD,
    "ledger_lotmovement": ADD,
    **dict.fromkeys(RESERVE, ADD),
    "ledger_redactionrequest": ADD,
    "ledger_redaction": ADD,
    **dict.fromkeys(SEALS, READ),
    **{table: ["SELECT", "DELETE"] for table in BLACKED_OUT},
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
    "ledger_auditevent": READ,
    "ledger_redactionrequest": READ,
    "ledger_redaction": READ,
    **dict.fromkeys(SEALS, ADD),
}
# What an auditor, who reads everything else, is not shown.
AUDITOR_HIDDEN: dict[str, list[str]] = {}
