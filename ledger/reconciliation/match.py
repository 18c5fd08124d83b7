"""The rules: what counts as matched, and which differences are which kind of break; set-based, in one snapshot."""

from typing import Any, NamedTuple

from django.db import connection

from ledger import chart
from ledger.models import BreakKind
from ledger.reconciliation.evidence import UtxoFact

# One outcome a claim, the first that applies; a posting that no claim stands behind has no payment here.
PAYMENTS = """
INSERT INTO recon_outcome
SELECT coalesce(c.payment_id, b.reference), c.payout_id, c.txid, c.vout,
    CASE
        WHEN c.payment_id IS NULL THEN 'ledger_only'
        WHEN o.txid IS NULL AND (t.txid IS NOT NULL OR c.is_mined) THEN 'missing'
        WHEN o.script_pubkey <> c.script_pubkey THEN 'payee'
        WHEN o.amount_sat <> c.amount_sat THEN 'amount'
        WHEN b.amount IS DISTINCT FROM c.amount_sat THEN 'unbooked'
        WHEN o.txid IS NULL THEN 'in_flight'
        ELSE 'matched'
    END,
    c.amount_sat, o.amount_sat, b.amount, c.script_pubkey, o.script_pubkey
FROM recon_claim c
LEFT JOIN recon_tx t ON t.txid = c.txid
LEFT JOIN recon_output o ON o.txid = c.txid AND o.vout = c.vout
FULL JOIN (
    SELECT p.reference, sum(p.amount)::bigint AS amount
    FROM ledger_posting p JOIN ledger_account a ON a.id = p.account_id
    WHERE a.code = %(in_transit)s AND p.layer = 'settled' AND p.reference IS NOT NULL
    GROUP BY p.reference HAVING sum(p.amount) <> 0
) b ON b.reference = c.payment_id
"""
PAYMENT_BREAKS = """
INSERT INTO recon_break
SELECT outcome, payment_id, payout_id, coalesce(txid, ''), vout,
    CASE outcome WHEN 'payee' THEN encode(claimed_script, 'hex') ELSE coalesce(claimed_sat::text, '') END,
    CASE outcome WHEN 'payee' THEN encode(found_script, 'hex')
        WHEN 'amount' THEN found_sat::text
        WHEN 'missing' THEN ''
        ELSE coalesce(booked_sat::text, '') END,
    CASE outcome
        WHEN 'payee' THEN format('Payment %%s is paid to another script.', payment_id)
        WHEN 'amount' THEN format('Payment %%s is paid %%s sat instead of %%s.', payment_id, found_sat, claimed_sat)
        WHEN 'missing' THEN format('Payment %%s is said to be in a block, and its output is in none.', payment_id)
        WHEN 'ledger_only' THEN format('%%s sat are booked for payment %%s, which no signed tx pays.',
            booked_sat, payment_id)
        ELSE format('Payment %%s of %%s sat has %%s sat booked.', payment_id, claimed_sat, coalesce(booked_sat, 0))
    END
FROM recon_outcome WHERE outcome NOT IN ('matched', 'in_flight')
"""
EXTRA = """
INSERT INTO recon_break
SELECT 'extra', NULL, p.payout_id, o.txid, o.vout, '', o.amount_sat::text,
    format('Output %%s of payout %%s is no payment of it and not its change.', o.vout, p.payout_id)
FROM recon_output o
JOIN recon_payout p ON p.txid = o.txid
LEFT JOIN recon_claim c ON c.txid = o.txid AND c.vout = o.vout
LEFT JOIN recon_change h ON (o.is_ours OR o.amount_sat = 0) AND h.txid = o.txid AND h.vout = o.vout
    AND h.amount_sat = o.amount_sat AND h.script_pubkey = o.script_pubkey
WHERE c.payment_id IS NULL AND h.txid IS NULL
"""
# A deposit is an output to us in a tx that is not ours. Those on chain and those in the books must be the same.
DEPOSITS = """
INSERT INTO recon_break
SELECT CASE WHEN o.txid IS NULL THEN 'ledger_only' ELSE 'unknown_in' END, NULL, NULL,
    coalesce(o.txid, split_part(b.source_ref, ':', 2)), coalesce(o.vout, split_part(b.source_ref, ':', 3)::bigint),
    coalesce(b.amount::text, ''), coalesce(o.amount_sat::text, ''),
    CASE WHEN o.txid IS NULL THEN format('A deposit of %%s sat is booked and not on the chain.', b.amount)
        ELSE format('%%s sat came in and %%s sat are booked for it.', o.amount_sat, coalesce(b.amount, 0)) END
FROM (
    SELECT o.txid, o.vout, o.amount_sat, 'outpoint:' || o.txid || ':' || o.vout AS source_ref
    FROM recon_output o LEFT JOIN recon_payout p ON p.txid = o.txid
    WHERE o.is_ours AND p.txid IS NULL
) o
FULL JOIN (
    SELECT e.source_ref, sum(p.amount)::bigint AS amount
    FROM ledger_posting p JOIN ledger_account a ON a.id = p.account_id JOIN ledger_entry e ON e.id = p.entry_id
    WHERE a.code = %(hot_wallet)s AND p.layer = 'settled' AND e.source_ref LIKE 'outpoint:%%'
    GROUP BY e.source_ref HAVING sum(p.amount) <> 0
) b ON b.source_ref = o.source_ref
WHERE coalesce(b.amount, 0) <> coalesce(o.amount_sat, 0)
"""
SPENDS = """
INSERT INTO recon_break
SELECT 'unknown_out', NULL, NULL, s.from_txid, s.from_vout, '', s.txid,
    format('Our coin of %%s sat is spent by a tx that is not ours.', s.amount_sat)
FROM recon_spend s LEFT JOIN recon_payout p ON p.txid = s.txid
WHERE p.txid IS NULL
"""
FEES = """
INSERT INTO recon_break
SELECT 'fee', NULL, p.payout_id, p.txid, NULL,
    CASE WHEN b.amount IS DISTINCT FROM p.paid_sat THEN coalesce(b.amount, 0) ELSE p.fee_sat END::text,
    coalesce(p.paid_sat::text, ''),
    CASE WHEN p.paid_sat IS NULL THEN format('Payout %%s spends an outpoint that is not known as ours.', p.payout_id)
        ELSE format('Payout %%s cost %%s sat; %%s sat are booked and %%s sat were signed.',
            p.payout_id, p.paid_sat, coalesce(b.amount, 0), p.fee_sat) END
FROM (
    SELECT p.payout_id, p.txid, p.fee_sat, CASE WHEN i.inputs = t.input_count THEN i.total - o.total END AS paid_sat
    FROM recon_payout p
    JOIN recon_tx t ON t.txid = p.txid
    JOIN (SELECT txid, sum(amount_sat)::bigint AS total FROM recon_output GROUP BY txid) o ON o.txid = p.txid
    LEFT JOIN (SELECT txid, count(*) AS inputs, sum(amount_sat)::bigint AS total FROM recon_spend GROUP BY txid) i
        ON i.txid = p.txid
) p
LEFT JOIN (
    SELECT e.source_ref, sum(p.amount)::bigint AS amount
    FROM ledger_posting p JOIN ledger_account a ON a.id = p.account_id JOIN ledger_entry e ON e.id = p.entry_id
    WHERE a.code = %(network_fees)s AND p.layer = 'settled' GROUP BY e.source_ref
) b ON b.source_ref = 'payout:' || p.payout_id
WHERE b.amount IS DISTINCT FROM p.paid_sat OR p.fee_sat IS DISTINCT FROM p.paid_sat
"""
# What is signed and in no block has left the wallet in the books and not on the chain.
BALANCE = """
SELECT
    (SELECT coalesce(sum(p.amount), 0) FROM ledger_posting p JOIN ledger_account a ON a.id = p.account_id
        WHERE a.code = %(hot_wallet)s AND p.layer = 'settled')::bigint,
    (SELECT coalesce(sum(p.payments_sat + p.fee_sat), 0) FROM recon_payout p
        LEFT JOIN recon_tx t ON t.txid = p.txid WHERE t.txid IS NULL)::bigint
"""
BALANCE_BREAK = """
INSERT INTO recon_break VALUES ('balance', NULL, NULL, '', NULL, %(expected)s, %(found)s,
    format('By the books %%s sat are unspent, by the chain %%s sat.', %(expected)s::text, %(found)s::text))
"""
RULES = (PAYMENTS, PAYMENT_BREAKS, EXTRA, DEPOSITS, SPENDS, FEES)

OUTCOMES = ("matched", "in_flight", *BreakKind.values)


class Result(NamedTuple):
    """How often each outcome occurred, and sums in satoshis; the breaks themselves are in ``recon_break``."""

    counts: dict[str, int]
    totals: dict[str, int]

    @property
    def break_count(self) -> int:
        """All breaks, stored or not."""
        return sum(self.counts[kind] for kind in BreakKind.values)


def match(scope: str, utxo: UtxoFact) -> Result:
    """Apply every rule to the loaded tables; must run in the database transaction that loaded them."""
    accounts: dict[str, Any] = chart.scope_accounts(scope)._asdict()
    with connection.cursor() as cursor:
        for rule in RULES:
            cursor.execute(rule, accounts)
        cursor.execute(BALANCE, accounts)
        wallet_sat, in_flight_sat = cursor.fetchone()
        if wallet_sat + in_flight_sat != utxo.amount_sat:
            sums = {"expected": str(wallet_sat + in_flight_sat), "found": str(utxo.amount_sat)}
            cursor.execute(BALANCE_BREAK, sums)
        cursor.execute(
            "SELECT outcome, count(*), coalesce(sum(claimed_sat), 0)::bigint FROM recon_outcome"
            " WHERE outcome IN ('matched', 'in_flight') GROUP BY outcome"
            " UNION ALL SELECT kind, count(*), 0 FROM recon_break GROUP BY kind"
        )
        rows = cursor.fetchall()
        cursor.execute("SELECT count(*), coalesce(sum(amount_sat), 0)::bigint FROM recon_claim")
        claims, claimed_sat = cursor.fetchone()
    counts = dict.fromkeys(OUTCOMES, 0) | {outcome: count for outcome, count, _ in rows}
    sums_sat = {outcome: total for outcome, _, total in rows}
    return Result(
        {"claims": claims, **counts},
        {
            "claimed_sat": claimed_sat,
            "matched_sat": sums_sat.get("matched", 0),
            "in_flight_sat": sums_sat.get("in_flight", 0),
            "wallet_booked_sat": wallet_sat,
            "wallet_leaving_sat": in_flight_sat,
            "wallet_unspent_sat": utxo.amount_sat,
            "wallet_unspent_count": utxo.coin_count,
        },
    )
