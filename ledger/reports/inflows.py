"""Every output that came to the public sector's verified addresses, what it came for, and by whose money (R-27)."""

from ledger.reports.report import Column, Report, Unit

# As known at a time: by the newest class then, and without what only scans saw whose block was known to be gone.
SQL = """
SELECT i.scope, i.address, i.txid || ':' || i.vout, i.amount_sat, i.height, s.block_at, coalesce(k.kind, 'not classed'),
    coalesce(k.funding_source, ''), k.effective_at, coalesce(k.reference, ''), coalesce(k.lot_reference, '')
FROM ledger_inflow i JOIN ledger_reservescan s ON s.id = i.scan_id
LEFT JOIN LATERAL (
    SELECT * FROM ledger_inflowclass c
    WHERE c.txid = i.txid AND c.vout = i.vout AND c.recorded_at <= %(known_at)s ORDER BY c.id DESC LIMIT 1
) k ON true
WHERE s.scanned_at <= %(known_at)s AND s.block_at < %(before)s
    AND (%(since)s::timestamptz IS NULL OR s.block_at >= %(since)s)
    AND (%(scope)s::text IS NULL OR i.scope = %(scope)s) AND NOT EXISTS (
        SELECT FROM ledger_reservescanloss l WHERE l.scan_id = i.scan_id AND l.found_at <= %(known_at)s
    )
ORDER BY i.scope, i.height, i.id
"""

REPORT = Report(
    name="inflows",
    title="Inflows of bitcoin by output",
    meaning="Every output that a scan found on a verified address: what it came for and by whose money, as two people said,"
    " or that nobody has classed it yet.",
    columns=(
        Column("scope", "Institution"),
        Column("address", "Address"),
        Column("outpoint", "Output"),
        Column("amount_sat", "Satoshis", Unit.NUMBER),
        Column("height", "Block", Unit.NUMBER),
        Column("found_at", "Found at a block of", Unit.MOMENT),
        Column("kind", "Came for"),
        Column("funding_source", "Funded by"),
        Column("effective_at", "Took effect", Unit.MOMENT),
        Column("reference", "Classed in"),
        Column("lot_reference", "Lot"),
    ),
    sql=SQL,
    signed=False,
)
