"""Says, from facts alone, which payouts are not in the status that the chain gives them, in one statement."""

from typing import NamedTuple

from django.db import connection

# No program asks for more confirmations, so that what was settled long ago need not be looked at.
MOST_CONFIRMATIONS = 100
# A spend buried this deep is final: what it excludes is dead (I1a).
FINAL_DEPTH = 100


class Step(NamedTuple):
    """One change of one payout's status that the facts demand."""

    payout_id: int
    old: str
    new: str


# ``pays``: a block holds a version that pays. ``is_given_up``: it has a void. ``is_strange``: a tx that is none of its
# versions spends a coin of the original. ``is_dead``: for good, a coin of the original is spent by a tx that pays none
# of the payments, or can never exist, because it is an output of another payout's version that lost.
#
# ``candidate``: all that is open or void, and of what is settled only what may still change: the shallow, what lost its
# block, and what has a void, which a very long reorganization may have put in its place.
STEPS = """
WITH candidate AS (
    SELECT id FROM payments_payout
    WHERE status IN ('committed', 'signed', 'sent', 'mined', 'frozen', 'voiding', 'voided')
    UNION SELECT id FROM payments_payout WHERE status = 'settled' AND mined_height IS NULL
    UNION SELECT id FROM payments_payout WHERE status = 'settled' AND mined_height > %(tip)s + 1 - %(most)s
    UNION SELECT p.id FROM payments_payouttx t JOIN payments_payout p ON p.id = t.payout_id
        WHERE t.kind = 'void' AND p.status = 'settled'
), fact AS (
    SELECT p.id, p.status, p.mined_height IS NOT NULL AND v.kind IS DISTINCT FROM 'void' AS pays,
        %(tip)s + 1 - p.mined_height >= coalesce(g.confirmations_settled, 1) AS is_deep,
        EXISTS (SELECT FROM payments_payouttx t WHERE t.payout_id = p.id AND t.kind = 'void') AS is_given_up,
        coalesce(s.is_strange, false) AS is_strange,
        coalesce(s.is_dead, false) OR EXISTS (
            SELECT FROM payments_reservation r
            JOIN payments_payouttx t ON t.txid = r.txid AND t.payout_id <> p.id
            JOIN payments_payout o ON o.id = t.payout_id
            WHERE r.payout_id = p.id AND r.is_original
            AND o.mined_txid IS DISTINCT FROM r.txid AND (o.status = 'voided' OR o.mined_height <= %(final)s)
        ) AS is_dead
    FROM candidate JOIN payments_payout p USING (id)
    LEFT JOIN payments_disbursement d ON d.id = p.disbursement_id
    LEFT JOIN payments_program g ON g.id = d.program_id
    LEFT JOIN LATERAL (
        SELECT t.kind FROM payments_payouttx t WHERE t.payout_id = p.id AND t.txid = p.mined_txid LIMIT 1
    ) v ON true
    LEFT JOIN LATERAL (
        SELECT bool_or(t.kind IS NULL) AS is_strange,
            bool_or((t.kind IS NULL OR t.kind = 'void') AND b.height <= %(final)s) AS is_dead
        FROM payments_reservation r
        JOIN payments_coin c ON (c.txid, c.vout) = (r.txid, r.vout)
        JOIN payments_block b ON b.block_hash = c.spent_block_hash
        LEFT JOIN LATERAL (
            SELECT t.kind FROM payments_payouttx t WHERE t.payout_id = p.id AND t.txid = c.spent_by_txid LIMIT 1
        ) t ON true
        WHERE r.payout_id = p.id AND r.is_original
    ) s ON true
), step AS (
    SELECT id, status, CASE
        WHEN pays AND status IN ('committed', 'signed', 'sent', 'frozen', 'voiding') THEN 'mined'
        WHEN pays AND status = 'mined' AND is_deep THEN 'settled'
        WHEN pays AND status = 'settled' AND NOT is_deep THEN 'mined'
        WHEN NOT pays AND status IN ('mined', 'settled') AND is_given_up THEN 'voiding'
        WHEN NOT pays AND status IN ('mined', 'settled') THEN 'sent'
        WHEN is_dead AND status IN ('committed', 'signed', 'sent', 'frozen', 'voiding') THEN 'voided'
        WHEN NOT is_dead AND status = 'voided' AND is_given_up THEN 'voiding'
        WHEN NOT is_dead AND status = 'voided' THEN 'frozen'
        WHEN is_strange AND status IN ('committed', 'signed', 'sent', 'voiding') THEN 'frozen'
        END AS new
    FROM fact
)
SELECT id, status, new FROM step WHERE new IS NOT NULL ORDER BY id
"""


def list_steps(tip_height: int) -> list[Step]:
    """Return the next step of every payout that is not where it belongs; some need two or three, one after another."""
    values = {"tip": tip_height, "final": tip_height + 1 - FINAL_DEPTH, "most": MOST_CONFIRMATIONS}
    with connection.cursor() as cursor:
        cursor.execute(STEPS, values)
        return [Step(*row) for row in cursor.fetchall()]


def stranger(payout_id: int) -> str:
    """Return the txid, in a block, of the first tx that spends a coin of the original and is no version of the payout."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.spent_by_txid FROM payments_reservation r"
            " JOIN payments_coin c ON (c.txid, c.vout) = (r.txid, r.vout)"
            " WHERE r.payout_id = %(payout)s AND r.is_original AND c.spent_by_txid IS NOT NULL AND NOT EXISTS ("
            "  SELECT FROM payments_payouttx t WHERE t.payout_id = %(payout)s AND t.txid = c.spent_by_txid)"
            " ORDER BY r.position LIMIT 1",
            {"payout": payout_id},
        )
        return str(cursor.fetchone()[0])
