"""The rules: what counts as matched, and which differences are which kind of break; set-based, in one snapshot.

A claim has one outcome, the first that applies. What the wallet received or spent besides is compared with the books by
its source, and what no rule explained is a difference of the balance.
"""

# Of the payments for one obligation that are in blocks, the first was paid rightly.
PAYMENTS = """
INSERT INTO recon_payment
SELECT coalesce(c.payment_id, b.payment_id), c.payout_id, c.txid, c.vout, w.outcome,
    w.outcome NOT IN ('matched', 'in_flight', 'not_broadcast', 'evicted', 'replaced', 'reorged_out')
        OR (w.outcome = 'replaced' AND v.in_block)
        OR (w.outcome <> 'matched' AND p.since < %(overdue)s),
    c.amount_sat, o.amount_sat, b.amount,
    CASE w.outcome WHEN 'payee' THEN c.script_pubkey END, CASE w.outcome WHEN 'payee' THEN o.script_pubkey END
FROM (
    SELECT c.*, t.txid IS NOT NULL AS in_block,
        row_number() OVER (PARTITION BY c.obligation, t.txid IS NOT NULL ORDER BY t.block_height, c.txid, c.vout) AS nth
    FROM recon_claim c LEFT JOIN ledger_readtx t ON t.standing_id = %(standing)s AND t.txid = c.txid
) c
LEFT JOIN recon_payout p ON p.payout_id = c.payout_id AND p.txid = c.txid
LEFT JOIN ledger_readoutput o ON o.standing_id = %(standing)s AND o.txid = c.txid AND o.vout = c.vout
LEFT JOIN recon_waiting m ON m.txid = c.txid
LEFT JOIN (
    SELECT v.payout_id, bool_or(t.txid IS NOT NULL) AS in_block, bool_or(m.txid IS NOT NULL) AS is_waiting
    FROM recon_version v LEFT JOIN ledger_readtx t ON t.standing_id = %(standing)s AND t.txid = v.txid
    LEFT JOIN recon_waiting m ON m.txid = v.txid GROUP BY v.payout_id
) v ON v.payout_id = c.payout_id
FULL JOIN recon_booked_payment b ON b.payment_id = c.payment_id
CROSS JOIN LATERAL (SELECT CASE
    WHEN c.payment_id IS NULL THEN 'ledger_only'
    WHEN c.in_block AND c.nth > 1 THEN 'duplicate_payment'
    WHEN o.txid IS NULL AND (c.in_block OR c.is_mined) THEN 'missing'
    WHEN o.script_pubkey <> c.script_pubkey THEN 'payee'
    WHEN o.amount_sat <> c.amount_sat THEN 'amount'
    WHEN b.amount IS NULL AND o.txid IS NULL AND m.txid IS NULL THEN 'payment_only'
    WHEN b.amount IS NULL THEN 'unbooked'
    WHEN b.amount > c.amount_sat AND b.amount %% c.amount_sat = 0 THEN 'duplicate_booking'
    WHEN b.amount <> c.amount_sat THEN 'amount'
    WHEN o.txid IS NOT NULL THEN 'matched'
    WHEN v.in_block THEN 'replaced'
    WHEN m.txid IS NOT NULL THEN 'in_flight'
    WHEN v.is_waiting THEN 'replaced'
    WHEN p.was_mined THEN 'reorged_out'
    WHEN p.was_sent THEN 'evicted'
    ELSE 'not_broadcast' END AS outcome) w
"""
PAYMENT_BREAKS = """
INSERT INTO recon_break
SELECT CASE WHEN payout_id IS NULL THEN 'payment:' || payment_id ELSE 'payout:' || payout_id END,
    outcome, payment_id, payout_id, coalesce(txid, ''), vout,
    CASE outcome WHEN 'payee' THEN encode(claimed_script, 'hex') ELSE coalesce(claimed_sat::text, '') END,
    CASE
        WHEN outcome = 'payee' THEN encode(found_script, 'hex')
        WHEN outcome IN ('missing', 'in_flight', 'not_broadcast', 'evicted', 'replaced', 'reorged_out') THEN ''
        WHEN outcome = 'duplicate_payment' OR (outcome = 'amount' AND found_sat <> claimed_sat) THEN found_sat::text
        ELSE coalesce(booked_sat::text, '') END,
    CASE outcome
        WHEN 'payee' THEN format('Payment %%s is paid to another script.', payment_id)
        WHEN 'amount' THEN CASE WHEN found_sat <> claimed_sat
            THEN format('Payment %%s is paid %%s sat instead of %%s.', payment_id, found_sat, claimed_sat)
            ELSE format('Payment %%s of %%s sat has %%s sat booked.', payment_id, claimed_sat, booked_sat) END
        WHEN 'missing' THEN format('Payment %%s is said to be in a block, and its output is in none.', payment_id)
        WHEN 'ledger_only' THEN format('%%s sat are booked for payment %%s, which no signed tx pays.',
            booked_sat, payment_id)
        WHEN 'duplicate_payment' THEN format('Payment %%s is paid although another one for the same was.', payment_id)
        WHEN 'duplicate_booking' THEN format('Payment %%s of %%s sat is booked %%s times.', payment_id, claimed_sat,
            booked_sat / claimed_sat)
        WHEN 'payment_only' THEN format('Payment %%s is claimed, and neither booked nor on the chain.', payment_id)
        WHEN 'unbooked' THEN format('Payment %%s of %%s sat has 0 sat booked.', payment_id, claimed_sat)
        WHEN 'replaced' THEN format('Payment %%s is paid by another version than the records say.', payment_id)
        WHEN 'reorged_out' THEN format('Payment %%s was in a block that left the chain, and is in none.', payment_id)
        WHEN 'evicted' THEN format('Payment %%s was sent and is in no memory pool.', payment_id)
        WHEN 'not_broadcast' THEN format('Payment %%s is signed and was never sent.', payment_id)
        ELSE format('Payment %%s waits in the memory pool.', payment_id)
    END
FROM recon_payment WHERE is_break
"""
# What somebody booked for such an output, from the wallet to suspense, explains it.
UNAUTHORIZED = """
INSERT INTO recon_break
SELECT 'payout:' || p.payout_id, CASE WHEN r.is_repeated THEN 'duplicate_payment' ELSE 'unauthorized_spend' END,
    NULL, p.payout_id, o.txid, o.vout, '', o.amount_sat::text,
    CASE WHEN r.is_repeated THEN format('Output %%s of payout %%s pays a payment of it once more.', o.vout, p.payout_id)
        ELSE format('Output %%s of payout %%s is no payment of it and not its change.', o.vout, p.payout_id) END,
    -o.amount_sat
FROM recon_payout p
JOIN ledger_readoutput o ON o.standing_id = %(standing)s AND o.txid = p.txid
LEFT JOIN recon_claim c ON c.txid = o.txid AND c.vout = o.vout
LEFT JOIN recon_change h ON (o.is_ours OR o.amount_sat = 0) AND h.txid = o.txid AND h.vout = o.vout
    AND h.amount_sat = o.amount_sat AND h.script_pubkey = o.script_pubkey
LEFT JOIN recon_booked_source b ON b.source_ref = 'output:' || o.txid || ':' || o.vout
CROSS JOIN LATERAL (SELECT EXISTS (
    SELECT FROM recon_claim k JOIN ledger_readoutput q ON q.standing_id = %(standing)s AND q.txid = k.txid
        AND q.vout = k.vout AND q.script_pubkey = k.script_pubkey
    WHERE k.txid = o.txid AND k.vout <> o.vout AND k.amount_sat = o.amount_sat AND k.script_pubkey = o.script_pubkey
) AS is_repeated) r
WHERE c.payment_id IS NULL AND h.txid IS NULL AND coalesce(b.wallet_sat, 0) <> -o.amount_sat
"""
# A movement that is none of ours: a deposit is an output to us in a tx that is not ours, a loss a coin that one spends.
# Those on chain and those in the books must be the same; what went out is negative.
MOVEMENTS = """
INSERT INTO recon_movement
SELECT s.source_ref, s.is_out, s.txid, s.vout, d.txid, coalesce(b.wallet_sat, 0),
    CASE WHEN s.is_out AND own.txid IS NULL THEN coalesce(-d.amount_sat, 0)
        WHEN NOT s.is_out AND mine.txid IS NULL THEN coalesce(o.amount_sat, 0) ELSE 0 END,
    b.block_hash <> '' AND NOT EXISTS (SELECT FROM ledger_readblock k WHERE k.standing_id = %(standing)s
        AND k.height = b.block_height AND k.block_hash = b.block_hash)
FROM (
    SELECT source_ref, source_ref LIKE 'spend:%%' AS is_out, split_part(source_ref, ':', 2) AS txid,
        split_part(source_ref, ':', 3)::int AS vout
    FROM recon_source WHERE source_ref ~ '^(outpoint|spend):[0-9a-f]{64}:[0-9]{1,9}$'
) s
LEFT JOIN recon_booked_source b ON b.source_ref = s.source_ref
LEFT JOIN ledger_readoutput o ON NOT s.is_out AND o.standing_id = %(standing)s AND o.txid = s.txid AND o.vout = s.vout
    AND o.is_ours
LEFT JOIN (SELECT DISTINCT txid FROM recon_version) mine ON mine.txid = o.txid
LEFT JOIN ledger_readspend d ON s.is_out AND d.standing_id = %(standing)s AND d.from_txid = s.txid
    AND d.from_vout = s.vout
LEFT JOIN (SELECT DISTINCT txid FROM recon_version) own ON own.txid = d.txid
"""
MOVEMENT_BREAKS = """
INSERT INTO recon_break
SELECT m.source_ref, w.kind, NULL, NULL, m.txid, m.vout,
    CASE WHEN m.booked_sat = 0 THEN '' ELSE abs(m.booked_sat)::text END,
    CASE WHEN m.chain_sat = 0 THEN '' WHEN w.kind = 'unknown_out' THEN m.spender ELSE abs(m.chain_sat)::text END,
    CASE w.kind
        WHEN 'unknown_out' THEN format('Our coin of %%s sat is spent by a tx that is not ours.', -m.chain_sat)
        WHEN 'reorged_out' THEN format('%%s sat are booked for a block that left the chain.', abs(m.booked_sat))
        WHEN 'ledger_only' THEN format('%%s of %%s sat is booked and not on the chain.',
            CASE WHEN m.is_out THEN 'A loss' ELSE 'A deposit' END, abs(m.booked_sat))
        WHEN 'duplicate_booking' THEN format('%%s sat %%s and are booked %%s times.', abs(m.chain_sat),
            CASE WHEN m.is_out THEN 'went out' ELSE 'came in' END, m.booked_sat / m.chain_sat)
        ELSE format('%%s sat %%s and %%s sat are booked for it.', abs(m.chain_sat),
            CASE WHEN m.is_out THEN 'went out' ELSE 'came in' END, abs(m.booked_sat)) END,
    m.chain_sat - m.booked_sat
FROM recon_movement m
CROSS JOIN LATERAL (SELECT CASE
    WHEN m.chain_sat = 0 AND m.is_off_chain THEN 'reorged_out'
    WHEN m.chain_sat = 0 THEN 'ledger_only'
    WHEN m.booked_sat = 0 AND m.is_out THEN 'unknown_out'
    WHEN m.booked_sat = 0 THEN 'unknown_in'
    WHEN m.booked_sat / m.chain_sat > 1 AND m.booked_sat %% m.chain_sat = 0 THEN 'duplicate_booking'
    ELSE 'amount' END AS kind) w
WHERE m.booked_sat <> m.chain_sat
"""
FEES = """
INSERT INTO recon_break
SELECT 'payout:' || p.payout_id, CASE WHEN b.amount > p.paid_sat AND p.paid_sat > 0 AND b.amount %% p.paid_sat = 0
        AND p.fee_sat = p.paid_sat THEN 'duplicate_booking' ELSE 'fee' END,
    NULL, p.payout_id, p.txid, NULL,
    CASE WHEN b.amount IS DISTINCT FROM p.paid_sat THEN coalesce(b.amount, 0) ELSE p.fee_sat END::text,
    coalesce(p.paid_sat::text, ''),
    CASE WHEN p.paid_sat IS NULL THEN format('Payout %%s spends an outpoint that is not known as ours.', p.payout_id)
        ELSE format('Payout %%s cost %%s sat; %%s sat are booked and %%s sat were signed.',
            p.payout_id, p.paid_sat, coalesce(b.amount, 0), p.fee_sat) END
FROM (
    SELECT p.payout_id, p.txid, p.fee_sat,
        CASE WHEN t.txid IS NULL THEN p.fee_sat WHEN i.inputs = t.input_count THEN i.total - o.total END AS paid_sat
    FROM recon_payout p
    LEFT JOIN ledger_readtx t ON t.standing_id = %(standing)s AND t.txid = p.txid
    LEFT JOIN LATERAL (SELECT sum(amount_sat)::bigint AS total FROM ledger_readoutput
        WHERE standing_id = %(standing)s AND txid = t.txid) o ON true
    LEFT JOIN LATERAL (SELECT count(*) AS inputs, sum(amount_sat)::bigint AS total FROM ledger_readspend
        WHERE standing_id = %(standing)s AND txid = t.txid) i ON true
    WHERE t.txid IS NOT NULL OR NOT EXISTS (SELECT FROM recon_version v JOIN ledger_readtx r
        ON r.standing_id = %(standing)s AND r.txid = v.txid WHERE v.payout_id = p.payout_id)
) p
LEFT JOIN (SELECT source_ref, fee_sat AS amount FROM recon_booked_source) b ON b.source_ref = 'payout:' || p.payout_id
WHERE coalesce(b.amount, 0) IS DISTINCT FROM p.paid_sat OR p.fee_sat IS DISTINCT FROM p.paid_sat
"""
# A settlement clears what is in transit and names no payment; it is booked for what the records say is settled, once.
SETTLEMENTS = """
INSERT INTO recon_break
SELECT coalesce('payout:' || p.payout_id, b.source_ref), 'settlement', NULL, p.payout_id, coalesce(p.txid, ''), NULL,
    CASE WHEN s.expected_sat = 0 THEN '' ELSE s.expected_sat::text END,
    CASE WHEN s.found_sat = 0 THEN '' ELSE s.found_sat::text END,
    CASE WHEN p.payout_id IS NULL THEN format('%%s sat are booked as settled for %%s, which nobody knows.', s.found_sat,
            CASE b.source_ref WHEN '' THEN 'nothing' ELSE left(b.source_ref, 100) END)
        ELSE format('Of payout %%s %%s sat are settled, and %%s sat are booked as settled.', p.payout_id, s.expected_sat,
            s.found_sat) END
FROM recon_payout p
FULL JOIN (SELECT source_ref, settled_sat FROM recon_booked_source WHERE settled_sat <> 0) b
    ON b.source_ref = 'payout:' || p.payout_id
CROSS JOIN LATERAL (SELECT CASE WHEN p.is_settled THEN p.payments_sat ELSE 0 END AS expected_sat,
    coalesce(b.settled_sat, 0) AS found_sat) s
WHERE s.expected_sat <> s.found_sat
"""
ORPHANS = """
INSERT INTO recon_break
SELECT b.source_ref, 'orphan_entry', NULL, NULL, '', NULL, '', b.wallet_sat::text,
    format('%%s sat are booked on the wallet for %%s, which nobody knows.', b.wallet_sat,
        CASE b.source_ref WHEN '' THEN 'nothing' ELSE left(b.source_ref, 100) END), -b.wallet_sat
FROM recon_booked_source b
LEFT JOIN recon_payout p ON b.source_ref = 'payout:' || p.payout_id
LEFT JOIN ledger_readoutput o ON b.source_ref LIKE 'output:%%' AND o.standing_id = %(standing)s
    AND b.source_ref = 'output:' || o.txid || ':' || o.vout AND o.txid = split_part(b.source_ref, ':', 2)
WHERE b.wallet_sat <> 0 AND p.payout_id IS NULL AND o.txid IS NULL
    AND b.source_ref !~ '^(outpoint|spend):[0-9a-f]{64}:[0-9]{1,9}$'
"""
# What a payout moves on the wallet by the books and by the chain, which has it or will have it; the outputs that were
# booked by themselves are among both.
WALLET = """
INSERT INTO recon_wallet
SELECT p.payout_id, CASE WHEN c.in_block THEN 0 ELSE p.payments_sat + p.fee_sat END,
    coalesce(b.wallet_sat, 0) + CASE WHEN c.in_block THEN c.explained_sat ELSE 0 END,
    CASE WHEN c.in_block THEN c.sat ELSE -p.payments_sat - p.fee_sat END
FROM recon_payout p
CROSS JOIN LATERAL (
    SELECT bool_or(t.txid IS NOT NULL) AS in_block, (coalesce(sum(r.sat), 0) - coalesce(sum(s.sat), 0))::bigint AS sat,
        coalesce(sum(x.sat), 0)::bigint AS explained_sat
    FROM recon_version v JOIN ledger_readtx t ON t.standing_id = %(standing)s AND t.txid = v.txid
    LEFT JOIN LATERAL (SELECT sum(amount_sat) AS sat FROM ledger_readoutput
        WHERE standing_id = %(standing)s AND txid = t.txid AND is_ours) r ON true
    LEFT JOIN LATERAL (SELECT sum(amount_sat) AS sat FROM ledger_readspend
        WHERE standing_id = %(standing)s AND txid = t.txid) s ON true
    LEFT JOIN (
        SELECT split_part(source_ref, ':', 2) AS txid, sum(wallet_sat) AS sat FROM recon_booked_source
        WHERE source_ref LIKE 'output:%%' GROUP BY 1
    ) x ON x.txid = t.txid
    WHERE v.payout_id = p.payout_id
) c
LEFT JOIN recon_booked_source b ON b.source_ref = 'payout:' || p.payout_id
"""
WALLET_UNITS = """
INSERT INTO recon_unit
SELECT 'payout:' || payout_id, w.what, 1, w.amount_sat, w.what = 'leaving' FROM recon_wallet
CROSS JOIN LATERAL (VALUES ('leaving', leaving_sat), ('difference', chain_sat - booked_sat)) w(what, amount_sat)
WHERE w.amount_sat <> 0
"""
# Nothing is told where another break explains what differs; some kinds explain none.
PAYOUT_BALANCES = """
INSERT INTO recon_break
SELECT 'payout:' || w.payout_id, 'balance', NULL, w.payout_id, '', NULL, w.booked_sat::text, w.chain_sat::text,
    format('Payout %%s moves %%s sat on the wallet by the books, and %%s sat by the chain.', w.payout_id, w.booked_sat,
        w.chain_sat), w.chain_sat - w.booked_sat
FROM recon_wallet w WHERE w.chain_sat <> w.booked_sat AND NOT EXISTS (
    SELECT FROM recon_break b WHERE b.unit = 'payout:' || w.payout_id AND b.kind NOT IN (
        'in_flight', 'not_broadcast', 'evicted', 'replaced', 'reorged_out', 'settlement', 'cut_off', 'rate'))
"""
# A fact that an entry names a block for is dated in the period of its block, or somebody wants to know; time is
# tolerated, as long as it is short.
CUT_OFF = """
FROM recon_source s JOIN ledger_entry e ON e.source_ref = s.source_ref AND e.scope = %(scope)s AND e.block_hash <> ''
JOIN ledger_readblock k ON k.standing_id = %(standing)s AND k.height = e.block_height AND k.block_hash = e.block_hash
LEFT JOIN ledger_entry r ON r.reversal_of_id = e.id
CROSS JOIN LATERAL (SELECT abs(extract(epoch FROM e.effective_at - k.at)) > %(patience_s)s AS is_long) w
WHERE e.reversal_of_id IS NULL AND r.id IS NULL
    AND (SELECT min(ends_at) FROM ledger_period WHERE ends_at > e.effective_at)
        IS DISTINCT FROM (SELECT min(ends_at) FROM ledger_period WHERE ends_at > k.at)
"""
CUT_OFF_BREAKS = (
    """
INSERT INTO recon_break
SELECT e.source_ref, 'cut_off', NULL, NULL, '', NULL, to_char(k.at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
    to_char(e.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
    format('Entry %%s is dated in another period than its block, and long after it.', e.id)
"""
    + CUT_OFF
    + " AND w.is_long"
)
CUT_OFF_SOON = (
    "INSERT INTO recon_unit SELECT e.source_ref, 'cut_off', count(*), 0, false"
    + CUT_OFF
    + " AND NOT w.is_long GROUP BY e.source_ref"
)
# Nobody is believed what money is in satoshis: it is converted here anew, halves to the even neighbour.
RATES = """
INSERT INTO recon_break
SELECT 'payout:' || c.payout_id, 'rate', c.payment_id, c.payout_id, '', NULL, s.sat::text, c.amount_sat::text,
    format('Payment %%s of %%s minor units is of %%s sat; at the price of its list it is %%s.', c.payment_id, c.amount_minor,
        c.amount_sat, s.sat)
FROM recon_conversion c
CROSS JOIN LATERAL (SELECT c.amount_minor * 10000000000000000::numeric AS n, c.price * 10::numeric ^ c.scale AS d) f
CROSS JOIN LATERAL (SELECT div(f.n, f.d) AS q, f.n %% f.d AS r) h
CROSS JOIN LATERAL (SELECT (h.q + CASE WHEN 2 * h.r > f.d OR (2 * h.r = f.d AND h.q %% 2 = 1) THEN 1 ELSE 0 END)::bigint
    AS sat) s
WHERE s.sat <> c.amount_sat
"""
# What was booked when a list was released is what its lines were converted to; later entries undo lines one by one.
LEGS = """
INSERT INTO recon_break
SELECT 'disbursement:' || l.list_id, 'rate', NULL, NULL, '', NULL,
    format('%%s/%%s/%%s', l.amount_minor, l.amount_sat, l.remainder_minor), format('%%s/%%s/%%s', b.minor, b.sat, b.rest),
    format('List %%s was converted from %%s minor units to %%s sat with %%s left over; %%s, %%s and %%s are booked.',
        l.list_id, l.amount_minor, l.amount_sat, l.remainder_minor, b.minor, b.sat, b.rest)
FROM recon_list l CROSS JOIN LATERAL (
    SELECT coalesce(sum(p.amount) FILTER (WHERE a.code = %(money_clearing)s), 0)::bigint AS minor,
        -coalesce(sum(p.amount) FILTER (WHERE a.code = %(money_clearing_sat)s), 0)::bigint AS sat,
        -coalesce(sum(p.amount) FILTER (WHERE a.code = %(money_rounding)s), 0)::bigint AS rest
    FROM ledger_entry e JOIN ledger_posting p ON p.entry_id = e.id JOIN ledger_account a ON a.id = p.account_id
    WHERE e.source_ref = 'disbursement:' || l.list_id AND e.scope = %(scope)s
) b
WHERE (b.minor, b.sat, b.rest) <> (l.amount_minor, l.amount_sat, l.remainder_minor)
"""
COMPARE = (
    PAYMENTS, PAYMENT_BREAKS, RATES, LEGS, UNAUTHORIZED, MOVEMENTS, MOVEMENT_BREAKS, FEES, SETTLEMENTS, ORPHANS,
    CUT_OFF_BREAKS, CUT_OFF_SOON, WALLET, WALLET_UNITS, PAYOUT_BALANCES,
)  # fmt: skip
