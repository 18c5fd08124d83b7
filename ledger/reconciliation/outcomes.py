"""Sums up what the rules found, by unit: kept for the next run, which reads again what is open and what changed."""

DIFFERENCES = """
INSERT INTO recon_unit
SELECT source_ref, 'difference', 1, chain_sat - booked_sat, true FROM recon_movement WHERE booked_sat <> chain_sat
UNION ALL SELECT b.unit, 'difference', 1, b.amount_sat, true FROM recon_break b WHERE b.kind = 'orphan_entry'
"""
PAYMENT_UNITS = """
INSERT INTO recon_unit
SELECT 'payout:' || payout_id, w.outcome, count(*), sum(claimed_sat)::bigint, w.is_open
FROM recon_payment CROSS JOIN LATERAL (VALUES ('claims', false), (outcome, outcome <> 'matched')) w(outcome, is_open)
WHERE payout_id IS NOT NULL GROUP BY payout_id, w.outcome, w.is_open
"""
# A payment that is of another rate has an outcome besides.
OTHER_UNITS = """
INSERT INTO recon_unit SELECT b.unit, b.kind, count(*), 0, true FROM recon_break b
WHERE b.kind = 'rate' OR NOT (b.payment_id IS NOT NULL AND b.payout_id IS NOT NULL) GROUP BY b.unit, b.kind
"""
UNTOUCH = """
DELETE FROM ledger_outcome o USING (
    SELECT source_ref AS unit FROM recon_source UNION SELECT 'payment:' || payment_id FROM recon_reference
) t WHERE o.standing_id = %(standing)s AND o.unit = t.unit
"""
KEEP = """
INSERT INTO ledger_outcome (standing_id, unit, outcome, count, amount_sat, is_open)
SELECT %(standing)s, unit, outcome, sum(count), sum(amount_sat), bool_or(is_open) FROM recon_unit GROUP BY unit, outcome
"""
SUMS = """
SELECT outcome, sum(count)::bigint, sum(amount_sat)::bigint FROM ledger_outcome WHERE standing_id = %(standing)s
GROUP BY outcome
"""
SUM_UP = (DIFFERENCES, PAYMENT_UNITS, OTHER_UNITS, UNTOUCH, KEEP)
