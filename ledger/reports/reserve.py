"""All addresses of the public sector and what they held at a block, verified in a node or declared (R-27, R-30)."""

from ledger.reports.report import Column, Report, Unit

# The newest scan of a block before the end, as known at a time: one that was found to have left the chain by then is none.
SQL = """
WITH scan AS (
    SELECT s.* FROM ledger_reservescan s
    WHERE s.block_at < %(before)s AND s.scanned_at <= %(known_at)s AND NOT EXISTS (
        SELECT FROM ledger_reservescanloss l WHERE l.scan_id = s.id AND l.found_at <= %(known_at)s
    )
    ORDER BY s.id DESC LIMIT 1
)
SELECT b.scope, b.holding, b.network, b.address, b.badge, b.amount_sat, b.utxo_count,
    CASE WHEN b.is_reused THEN 'reused' WHEN b.is_spent THEN 'spent from' ELSE '' END
        || CASE WHEN b.is_over_cap AND b.is_spent THEN ', ' ELSE '' END
        || CASE WHEN b.is_over_cap THEN 'over its cap' ELSE '' END,
    scan.height, scan.block_hash, scan.block_at
FROM scan JOIN ledger_reservebalance b ON b.scan_id = scan.id
WHERE %(scope)s::text IS NULL OR b.scope = %(scope)s
ORDER BY b.scope, b.holding, b.holding_number, b.badge DESC, b.address
"""

REPORT = Report(
    name="reserve",
    title="Bitcoin of the public sector by address",
    meaning="Every address of every holding and its balance at the last block that was scanned before the end: verified in"
    " the unspent outputs of this node, or declared only, which nobody checked.",
    has_beginning=False,
    columns=(
        Column("scope", "Institution"),
        Column("holding", "Holding"),
        Column("network", "Network"),
        Column("address", "Address"),
        Column("badge", "Known by"),
        Column("amount_sat", "Satoshis", Unit.NUMBER),
        Column("utxo_count", "Outputs", Unit.NUMBER),
        Column("findings", "Findings"),
        Column("height", "Block", Unit.NUMBER),
        Column("block_hash", "Block hash"),
        Column("block_at", "Time of the block", Unit.MOMENT),
    ),
    sql=SQL,
)
