"""Finds what a run must look at: everything, or what changed since the last one and what that left open; set-based."""

from typing import Any, NamedTuple

from django.db import connection

from ledger import chart


class Scope(NamedTuple):
    """What is being compared, and from which watermarks on."""

    name: str
    standing_id: int
    is_full: bool
    books_mark: str
    height: int

    @property
    def values(self) -> dict[str, Any]:
        """The values that the statements take."""
        accounts = chart.scope_accounts(self.name)._asdict()
        accounts |= {
            f"money_{name}": code for name, code in chart.scope_money_accounts(self.name)._asdict().items()
        }
        mine = {
            "scope": self.name,
            "standing": self.standing_id,
            "mark": self.books_mark,
            "height": self.height,
            "is_full": self.is_full,
        }
        return {**accounts, **mine}


# The blocks that left the chain are taken out, and those that were read are put in.
GONE_TXS = """
INSERT INTO recon_txid SELECT txid FROM ledger_readtx WHERE standing_id = %(standing)s AND block_height > %(height)s
"""
# Entries that the snapshot did not hold, however late they were committed: their order is by no number.
NEW_ENTRIES = """
INSERT INTO recon_entry SELECT e.id, e.source_ref, e.scope FROM ledger_entry e
WHERE e.insert_xid >= pg_snapshot_xmin(%(mark)s::pg_snapshot)
    AND NOT pg_visible_in_snapshot(e.insert_xid, %(mark)s::pg_snapshot)
    AND (e.scope = %(scope)s OR EXISTS (
        SELECT FROM ledger_posting p JOIN ledger_account a ON a.id = p.account_id
        WHERE p.entry_id = e.id AND a.code IN (%(hot_wallet)s, %(in_transit)s, %(network_fees)s)
    ))
"""
OPEN_UNITS = """
INSERT INTO recon_source SELECT DISTINCT unit FROM ledger_outcome
WHERE standing_id = %(standing)s AND is_open AND unit NOT LIKE 'payment:%%' ON CONFLICT DO NOTHING
"""
OPEN_PAYMENTS = """
INSERT INTO recon_reference SELECT DISTINCT substr(unit, 9)::bigint FROM ledger_outcome
WHERE standing_id = %(standing)s AND is_open AND unit LIKE 'payment:%%' ON CONFLICT DO NOTHING
"""
# A period that was opened since may part an old entry from its block. Its row's xmin has 32 bits of the transaction that
# wrote it, and whatever is not older than all that ran at the snapshot may have come after it.
NEW_PERIODS = """
SELECT p.ends_at FROM ledger_period p, (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xid) top
WHERE top.xid - ((top.xid - p.xmin::text::bigint) & 4294967295) >= pg_snapshot_xmin(%(mark)s::pg_snapshot)::text::bigint
"""
SOURCES_OF_PERIODS = """
INSERT INTO recon_source SELECT DISTINCT e.source_ref FROM ledger_entry e
JOIN ledger_readblock k ON k.standing_id = %(standing)s AND k.height = e.block_height AND k.block_hash = e.block_hash
WHERE e.scope = %(scope)s AND e.block_hash <> ''
    AND EXISTS (SELECT FROM unnest(%(ends)s::timestamptz[]) n(at) WHERE (e.effective_at < n.at) <> (k.at < n.at))
ON CONFLICT DO NOTHING
"""
SOURCES_OF_ENTRIES = (
    "INSERT INTO recon_source SELECT DISTINCT source_ref FROM recon_entry ON CONFLICT DO NOTHING"
)
REFERENCES_OF_ENTRIES = """
INSERT INTO recon_reference SELECT DISTINCT p.reference FROM recon_entry n JOIN ledger_posting p ON p.entry_id = n.id
WHERE p.reference IS NOT NULL ON CONFLICT DO NOTHING
"""
# Of the txs that came or went; what left was noted before it was deleted.
SOURCES_OF_TXS = """
INSERT INTO recon_source SELECT 'outpoint:' || o.txid || ':' || o.vout FROM recon_txid t
JOIN ledger_readoutput o ON o.standing_id = %(standing)s AND o.txid = t.txid AND o.is_ours
UNION SELECT 'spend:' || s.from_txid || ':' || s.from_vout FROM recon_txid t
JOIN ledger_readspend s ON s.standing_id = %(standing)s AND s.txid = t.txid
ON CONFLICT DO NOTHING
"""
# What is compared by its source: the wallet, fees, and what is cleared in transit, where payments are compared one by one.
BY_SOURCE = (
    "(a.code IN (%(hot_wallet)s, %(network_fees)s) OR (a.code = %(in_transit)s AND p.reference IS NULL))"
)
SOURCES_OF_BOOKS = f"""
INSERT INTO recon_source SELECT DISTINCT e.source_ref FROM ledger_account a JOIN ledger_posting p ON p.account_id = a.id
JOIN ledger_entry e ON e.id = p.entry_id WHERE {BY_SOURCE} ON CONFLICT DO NOTHING
"""  # noqa: S608 - both parts are constants.
PAYOUTS_OF_SOURCES = """
SELECT DISTINCT substr(source_ref, 8)::bigint FROM recon_source WHERE source_ref ~ '^payout:[0-9]{1,18}$'
"""
# Those whose conversion is booked: all of them, or what was booked since and what was left open.
LISTS = """
SELECT DISTINCT substr(e.source_ref, 14)::bigint AS list_id FROM ledger_account a
JOIN ledger_posting p ON p.account_id = a.id JOIN ledger_entry e ON e.id = p.entry_id
WHERE a.code = %(money_clearing)s AND e.source_ref ~ '^disbursement:[0-9]{1,18}$'
    AND (%(is_full)s OR e.source_ref IN (SELECT source_ref FROM recon_entry)
        OR e.source_ref IN (SELECT source_ref FROM recon_source))
ORDER BY 1
"""
TXIDS = """
SELECT txid FROM recon_txid
UNION SELECT split_part(source_ref, ':', 2) FROM recon_source WHERE source_ref ~ '^(outpoint|output):[0-9a-f]{64}:'
UNION SELECT s.txid FROM recon_source c JOIN ledger_readspend s ON s.standing_id = %(standing)s
    AND s.from_txid = split_part(c.source_ref, ':', 2) AND s.from_vout = split_part(c.source_ref, ':', 3)::int
    WHERE c.source_ref ~ '^spend:[0-9a-f]{64}:[0-9]{1,9}$'
"""
# A payment that a payout does not claim any more is booked for it all the same.
REFERENCES_OF_PAYOUTS = """
INSERT INTO recon_reference SELECT DISTINCT p.reference FROM recon_payout c
JOIN ledger_entry e ON e.source_ref = 'payout:' || c.payout_id JOIN ledger_posting p ON p.entry_id = e.id
WHERE p.reference IS NOT NULL ON CONFLICT DO NOTHING
"""
REFERENCES_OF_OTHERS = """
SELECT r.payment_id FROM recon_reference r LEFT JOIN recon_claim c ON c.payment_id = r.payment_id
WHERE c.payment_id IS NULL ORDER BY 1
"""
SOURCES_OF_PAYOUTS = """
INSERT INTO recon_source SELECT DISTINCT 'payout:' || payout_id FROM recon_payout ON CONFLICT DO NOTHING
"""
SOURCES_OF_OUTPUTS = """
INSERT INTO recon_source SELECT DISTINCT 'output:' || o.txid || ':' || o.vout FROM recon_version v
JOIN ledger_readoutput o ON o.standing_id = %(standing)s AND o.txid = v.txid
LEFT JOIN recon_claim c ON c.txid = o.txid AND c.vout = o.vout
WHERE c.payment_id IS NULL ON CONFLICT DO NOTHING
"""
REFERENCES_OF_CLAIMS = """
INSERT INTO recon_reference SELECT DISTINCT payment_id FROM recon_claim ON CONFLICT DO NOTHING
"""
ALL_PAYMENTS = """
INSERT INTO recon_booked_payment SELECT p.reference, sum(p.amount)::bigint
FROM ledger_posting p JOIN ledger_account a ON a.id = p.account_id
WHERE a.code = %(in_transit)s AND p.layer = 'settled' AND p.reference IS NOT NULL
GROUP BY p.reference HAVING sum(p.amount) <> 0
"""
THESE_PAYMENTS = """
INSERT INTO recon_booked_payment SELECT p.reference, sum(p.amount)::bigint
FROM recon_reference r JOIN ledger_posting p ON p.reference = r.payment_id JOIN ledger_account a ON a.id = p.account_id
WHERE a.code = %(in_transit)s AND p.layer = 'settled'
GROUP BY p.reference HAVING sum(p.amount) <> 0
"""
BOOKED = f"""
INSERT INTO recon_booked_source SELECT e.source_ref,
    coalesce(sum(p.amount) FILTER (WHERE a.code = %(hot_wallet)s), 0)::bigint,
    coalesce(sum(p.amount) FILTER (WHERE a.code = %(network_fees)s), 0)::bigint,
    -coalesce(sum(p.amount) FILTER (WHERE a.code = %(in_transit)s), 0)::bigint,
    (array_agg(e.block_hash ORDER BY e.id DESC) FILTER (WHERE e.block_hash <> ''))[1],
    (array_agg(e.block_height ORDER BY e.id DESC) FILTER (WHERE e.block_hash <> ''))[1]
FROM {{}} JOIN ledger_posting p ON p.entry_id = e.id JOIN ledger_account a ON a.id = p.account_id
WHERE p.layer = 'settled' AND {BY_SOURCE}
GROUP BY e.source_ref
"""  # noqa: S608 - both parts are constants.
ALL_SOURCES = BOOKED.format("ledger_entry e")
THESE_SOURCES = BOOKED.format("recon_source s JOIN ledger_entry e ON e.source_ref = s.source_ref")
CLEAR = (
    """
DELETE FROM ledger_readspend s USING ledger_readtx t WHERE s.standing_id = %(standing)s
    AND (t.standing_id, t.txid) = (s.standing_id, s.txid) AND t.block_height > %(height)s
""",
    """
DELETE FROM ledger_readoutput o USING ledger_readtx t WHERE o.standing_id = %(standing)s
    AND (t.standing_id, t.txid) = (o.standing_id, o.txid) AND t.block_height > %(height)s
""",
    "DELETE FROM ledger_readtx WHERE standing_id = %(standing)s AND block_height > %(height)s",
    "DELETE FROM ledger_readblock WHERE standing_id = %(standing)s AND height > %(height)s",
)
FORGET = tuple(
    f"DELETE FROM ledger_{table} WHERE standing_id = %(standing)s"  # noqa: S608 - the names are constants.
    for table in ("readspend", "readoutput", "readtx", "readblock", "outcome")
)
UNSPEND = """
UPDATE ledger_readoutput o SET is_spent = false FROM recon_txid t
JOIN ledger_readspend s ON s.standing_id = %(standing)s AND s.txid = t.txid
WHERE o.standing_id = %(standing)s AND (o.txid, o.vout) = (s.from_txid, s.from_vout)
"""
SPEND = UNSPEND.replace("= false", "= true")
NEW_TXS = GONE_TXS + " ON CONFLICT DO NOTHING"
# What the txs above the height bring to the wallet and take from it.
MOVED = """
SELECT coalesce(sum(amount_sat), 0)::bigint, coalesce(sum(sign), 0)::bigint FROM (
    SELECT o.amount_sat, 1 AS sign FROM ledger_readtx t
    JOIN ledger_readoutput o ON (o.standing_id, o.txid) = (t.standing_id, t.txid)
    WHERE t.standing_id = %(standing)s AND t.block_height > %(height)s AND o.is_ours
    UNION ALL
    SELECT -s.amount_sat, -1 FROM ledger_readtx t
    JOIN ledger_readspend s ON (s.standing_id, s.txid) = (t.standing_id, t.txid)
    WHERE t.standing_id = %(standing)s AND t.block_height > %(height)s
) m
"""


ALL_TOTALS = """
SELECT (SELECT count(*) FROM ledger_entry WHERE scope = %(scope)s), (
    SELECT coalesce(sum(p.amount), 0)::bigint FROM ledger_posting p JOIN ledger_account a ON a.id = p.account_id
    WHERE a.code = %(hot_wallet)s AND p.layer = 'settled')
"""
NEW_TOTALS = """
SELECT (SELECT count(*) FROM recon_entry WHERE scope = %(scope)s), (
    SELECT coalesce(sum(p.amount), 0)::bigint FROM recon_entry n JOIN ledger_posting p ON p.entry_id = n.id
    JOIN ledger_account a ON a.id = p.account_id WHERE a.code = %(hot_wallet)s AND p.layer = 'settled')
"""


class Moved(NamedTuple):
    """What blocks changed in what is unspent: satoshis and coins."""

    amount_sat: int
    coin_count: int


def forget(scope: Scope) -> None:
    """Forget all that was read and found of the scope."""
    _run(scope, *FORGET)


def look_up() -> None:
    """Let the rest of the database transaction find rows by index: few of many, whatever is known of tables just filled."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")


def leave(scope: Scope) -> Moved:
    """Take out what lies above the height, note what it was, and return what that changes."""
    amount_sat, coin_count = _moved(scope)
    _run(scope, GONE_TXS, SOURCES_OF_TXS, UNSPEND, *CLEAR)
    return Moved(-amount_sat, -coin_count)


def arrive(scope: Scope) -> Moved:
    """Note what the blocks above the height hold, now that they are in, and return what that changes."""
    _run(scope, NEW_TXS, SOURCES_OF_TXS, SPEND)
    return _moved(scope)


def entries(scope: Scope) -> None:
    """Note the entries that are new, what they are about, and what the last run left open."""
    if scope.is_full:
        _run(scope, SOURCES_OF_BOOKS)
    else:
        _run(scope, NEW_ENTRIES, OPEN_UNITS, OPEN_PAYMENTS, SOURCES_OF_ENTRIES, REFERENCES_OF_ENTRIES)
        # All entries are looked through for it, and periods are opened once a month.
        if ends := [at for (at,) in _rows(NEW_PERIODS, scope.values)]:
            _run(scope, SOURCES_OF_PERIODS, ends=ends)


def payouts() -> list[int]:
    """Return the payouts that the noted entries and open units are about."""
    return [pk for (pk,) in _rows(PAYOUTS_OF_SOURCES)]


def lists(scope: Scope) -> list[int]:
    """Return the lists of money whose conversions are to be compared; after the entries were noted."""
    return [pk for (pk,) in _rows(LISTS, scope.values)]


def txids(scope: Scope) -> list[str]:
    """Return the txs that came, went, or stand behind a noted source."""
    return [txid for (txid,) in _rows(TXIDS, scope.values)]


def references_of_others(scope: Scope) -> list[int]:
    """Return the payments that are booked, for the loaded payouts too, and not among the loaded claims."""
    _run(scope, REFERENCES_OF_PAYOUTS)
    return [pk for (pk,) in _rows(REFERENCES_OF_OTHERS)]


def books(scope: Scope) -> None:
    """Add up what is booked for all that was noted and loaded."""
    if not scope.is_full:
        _run(scope, SOURCES_OF_OUTPUTS)
    _run(scope, SOURCES_OF_PAYOUTS, REFERENCES_OF_CLAIMS, "ANALYZE recon_source, recon_reference, recon_txid")
    _run(scope, ALL_PAYMENTS if scope.is_full else THESE_PAYMENTS)
    _run(scope, ALL_SOURCES if scope.is_full else THESE_SOURCES)
    _run(scope, "ANALYZE recon_booked_payment, recon_booked_source")


def totals(scope: Scope) -> tuple[int, int]:
    """Return how many entries the noted books have, and what they put on the wallet: all, or since the watermark."""
    ((count, booked_sat),) = _rows(ALL_TOTALS if scope.is_full else NEW_TOTALS, scope.values)
    return count, booked_sat


def _moved(scope: Scope) -> Moved:
    return Moved(*_rows(MOVED, scope.values)[0])


def _run(scope: Scope, *statements: str, **values: Any) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, scope.values | values)


def _rows(query: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
