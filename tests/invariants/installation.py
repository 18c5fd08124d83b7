"""Judges a whole installation, database and node, with own SQL and own bytes: ``judge`` raises the first violation."""

import psycopg

from tests.invariants import checks
from tests.invariants.chain import Chain, parse_tx

OWED = """
SELECT p.id, p.script_pubkey, p.amount_sat FROM payments_payment p
JOIN payments_disbursement d ON d.id = p.disbursement_id
WHERE d.status IN ('released', 'completed') AND p.status = 'pending'
"""
ENTRIES = """
SELECT e.id FROM ledger_entry e LEFT JOIN ledger_posting p ON p.entry_id = e.id
LEFT JOIN ledger_account a ON a.id = p.account_id
GROUP BY e.id, a.currency HAVING coalesce(sum(p.amount), 1) <> 0
"""
SAME_PEOPLE = """
SELECT id FROM payments_disbursement
WHERE made_by_id = approved_by_id OR made_by_id = released_by_id OR approved_by_id = released_by_id
"""
WALLET_IN_BOOKS = """
SELECT coalesce(sum(p.amount), 0)::bigint FROM ledger_posting p JOIN ledger_account a ON a.id = p.account_id
WHERE a.code LIKE 'Assets:HotWallet:%'
"""
WITHOUT_HISTORY = """
SELECT s.subject, s.id FROM (
    SELECT 'payout' AS subject, id, status FROM payments_payout
    UNION ALL SELECT 'disbursement', id, status FROM payments_disbursement WHERE status <> 'draft'
) s WHERE s.status IS DISTINCT FROM (
    SELECT c.new FROM payments_statuschange c WHERE c.subject = s.subject AND c.subject_id = s.id
    ORDER BY c.id DESC LIMIT 1)
"""


def judge(database_url: str, node_url: str, *, exactly: bool) -> None:
    """Check I1a, I1b, I2, I3, I4, I7, I8, I9, I10 and I13; with ``exactly``, that everybody released is paid, too."""
    chain = Chain(node_url)
    live = chain.live()
    with psycopg.connect(database_url, autocommit=True) as database:
        owed = [checks.Owed(pk, bytes(script), sat) for pk, script, sat in database.execute(OWED)]
        raws = {txid: bytes(raw) for txid, raw in database.execute("SELECT txid, raw FROM payments_payouttx")}
        signed = {txid: parse_tx(raw) for txid, raw in raws.items()}
        own = [bytes(row[0]) for row in database.execute("SELECT script_pubkey FROM payments_walletscript")]
        reserved = database.execute("SELECT txid, vout FROM payments_reservation WHERE is_live").fetchall()
        checks.check_pairwise_inputs(owed, signed.values())
        checks.check_paid(owed, live, exactly=exactly)
        checks.check_outputs_approved(owed, own, signed.values())
        checks.check_reservations((txid, vout) for txid, vout in reserved)
        _check_spends(set(own), live, set(signed))
        _check_fees(database, live, signed)
        for wrong, query in (
            ("I4: an entry", ENTRIES),
            ("I8: a list", SAME_PEOPLE),
            ("I13", WITHOUT_HISTORY),
        ):
            row = database.execute(query).fetchone()
            if row is not None:
                raise checks.Violation(f"{wrong} breaks its rule: {row}")
        _check_wallet(database, set(own), live, set(signed))


def _check_spends(own: set[bytes], live: list[checks.SignedTx], stored: set[str]) -> None:
    """I3: every tx that spends one of our outpoints is in the database."""
    ours = {(tx.txid, vout) for tx in live for vout, (script, _) in enumerate(tx.outputs) if script in own}
    for tx in live:
        if tx.inputs & ours and tx.txid not in stored:
            raise checks.Violation(f"I3: {tx.txid} spends our outpoint and is not stored")


def _check_fees(
    database: psycopg.Connection, live: list[checks.SignedTx], signed: dict[str, checks.SignedTx]
) -> None:
    """I10: booked fees equal inputs minus outputs of what is on chain."""
    outputs = {(tx.txid, vout): sat for tx in live for vout, (_, sat) in enumerate(tx.outputs)}
    fees = dict(database.execute("SELECT txid, fee_sat FROM payments_payouttx").fetchall())
    for tx in live:
        if tx.txid in signed:
            paid = sum(outputs[outpoint] for outpoint in tx.inputs) - sum(sat for _, sat in tx.outputs)
            if fees[tx.txid] != paid:
                raise checks.Violation(f"I10: {tx.txid} cost {paid} sat, {fees[tx.txid]} are booked")


def _check_wallet(
    database: psycopg.Connection, own: set[bytes], live: list[checks.SignedTx], stored: set[str]
) -> None:
    """I2: with every stored tx live, the wallet's books equal its unspent outpoints."""
    if not stored <= {tx.txid for tx in live}:
        return
    spent = {outpoint for tx in live for outpoint in tx.inputs}
    unspent_sat = sum(
        sat
        for tx in live
        for vout, (script, sat) in enumerate(tx.outputs)
        if script in own and (tx.txid, vout) not in spent
    )
    row = database.execute(WALLET_IN_BOOKS).fetchone()
    if row is None or row[0] != unspent_sat:
        raise checks.Violation(f"I2: the books hold {row}, the chain {unspent_sat} sat")
