"""What payments testify to the ledger: claims from the database, and what raw blocks and the node's coins say."""

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import connection

from govpay.errors import Unavailable
from ledger.reconciliation.evidence import (
    ChainFacts,
    ChangeClaim,
    Claim,
    Conversion,
    ConvertedList,
    PayoutClaim,
    SourceStale,
    SourceTooOld,
    Start,
    UtxoFact,
    Version,
)
from payments.models import Block, Program, Wallet
from payments.onchain import network, node
from payments.payout import alone, failpoint, follow, guard
from payments.prices import currency
from payments.selectors import walk as walks

# So long may other runs wait for their turn.
SCAN_WAIT_S = 900
FETCH = 5_000

# Of a payout's versions the one that a block holds speaks for it, and else the newest signed one that pays. The fee is
# what the books hold, and a void pays nobody. A child is silent while its parent is in a block as another version.
SPEAKING = """
WITH RECURSIVE speaking AS MATERIALIZED (
    SELECT DISTINCT ON (p.id) p.id, t.id AS version_id, t.txid, p.booked_fee_sat AS fee_sat,
        CASE t.kind WHEN 'void' THEN 0 ELSE p.payments_sat END AS payments_sat, t.kind, p.mined_txid IS NOT NULL AS is_mined,
        p.mined_txid IS NOT NULL AND p.status = 'settled' AS is_settled, coalesce(t.signed_at, p.created_at) AS signed_at
    FROM payments_payout p JOIN payments_payouttx t ON t.payout_id = p.id
    WHERE p.wallet_id = %(wallet)s AND (%(all)s OR p.id = ANY(%(only)s)) AND p.status <> 'unsealed' AND t.raw IS NOT NULL
        AND (t.txid = p.mined_txid OR (t.kind <> 'void' AND p.status <> 'voided'))
        AND NOT EXISTS (
            SELECT FROM payments_payout parent WHERE parent.id = p.parent_id AND parent.mined_txid <> p.anchor_txid)
    ORDER BY p.id, coalesce(t.txid = p.mined_txid, false) DESC, t.id DESC
)
"""
# A payment that stands in for one that stood in for another is for the first one's obligation.
CLAIMS = """, obligation AS (
    SELECT m.id, m.reissue_of_id AS root FROM speaking s JOIN payments_payment m ON m.payout_id = s.id
    WHERE m.reissue_of_id IS NOT NULL
    UNION ALL
    SELECT o.id, r.reissue_of_id FROM obligation o JOIN payments_payment r ON r.id = o.root WHERE r.reissue_of_id IS NOT NULL
)
SELECT m.id, s.id, s.txid, m.vout, m.script_pubkey, m.amount_sat, s.is_mined, coalesce(o.root, m.id)
FROM speaking s JOIN payments_payment m ON m.payout_id = s.id
LEFT JOIN (SELECT id, min(root) AS root FROM obligation GROUP BY id) o ON o.id = m.id
WHERE s.kind <> 'void' ORDER BY s.txid, m.vout
"""
PAYOUTS = """
SELECT s.id, s.txid, s.fee_sat, s.payments_sat, s.is_mined, s.is_settled, s.is_mined OR EXISTS (
        SELECT FROM payments_statuschange c WHERE c.subject = 'payout' AND c.subject_id = s.id AND c.new IN ('sent', 'mined')
    ), s.is_mined OR f.at IS NOT NULL, greatest(s.signed_at, f.at)
FROM speaking s LEFT JOIN LATERAL (
    SELECT max(f.at) AS at FROM payments_payouttx t JOIN payments_chainfact f ON f.txid = t.txid AND f.kind = 'unmined'
    WHERE t.payout_id = s.id AND NOT s.is_mined
) f ON true ORDER BY s.txid
"""
VERSIONS = """
SELECT s.id, t.txid FROM speaking s JOIN payments_payouttx t ON t.payout_id = s.id WHERE t.raw IS NOT NULL ORDER BY t.id
"""
CHANGE = """
SELECT s.txid, c.vout, c.script_pubkey, c.amount_sat
FROM speaking s JOIN payments_changeoutput c ON c.version_id = s.version_id
UNION ALL
SELECT s.txid, 0, '\\x6a20'::bytea || sha256(convert_to(c.note, 'UTF8')), 0
FROM speaking s JOIN payments_payout p ON p.id = s.id JOIN ledger_checkpoint c ON c.id = p.checkpoint_id
WHERE s.kind <> 'void'
ORDER BY 1, 2
"""
CONVERSIONS = """
SELECT m.id, s.id, m.amount_minor, m.amount_sat, q.price * 100000000
FROM speaking s JOIN payments_payment m ON m.payout_id = s.id JOIN payments_disbursement d ON d.id = m.disbursement_id
JOIN payments_quote q ON q.id = d.quote_id WHERE s.kind <> 'void' ORDER BY m.id
"""
CONVERTED = """
SELECT d.id, coalesce(d.converted_minor, 0), coalesce(d.total_sat, 0), coalesce(d.remainder_minor, 0)
FROM payments_disbursement d JOIN payments_wallet w ON w.program_id = d.program_id AND w.id = %(wallet)s
WHERE d.id = ANY(%(lists)s) ORDER BY d.id
"""
# A row's xmin has 32 bits of the transaction that wrote it last, perhaps of a subtransaction, whose number is higher than
# its transaction's. Whatever is not older than all that ran at the snapshot may have come after it. With a payout its
# children change, because they are silent while it is in a block as another version.
CHANGED = """
WITH top AS (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xid), found AS (
    SELECT p.id FROM payments_payout p, top WHERE p.wallet_id = %(wallet)s
        AND top.xid - ((top.xid - p.xmin::text::bigint) & 4294967295)
            >= pg_snapshot_xmin(%(since)s::pg_snapshot)::text::bigint
    UNION SELECT p.id FROM payments_payouttx t JOIN payments_payout p ON p.id = t.payout_id
        WHERE t.txid = ANY(%(txids)s) AND p.wallet_id = %(wallet)s
)
SELECT id FROM found UNION SELECT c.id FROM found f JOIN payments_payout c ON c.parent_id = f.id
"""
OWNERS = """
SELECT DISTINCT m.payout_id FROM payments_payment m JOIN payments_payout p ON p.id = m.payout_id
WHERE m.id = ANY(%(payments)s) AND p.wallet_id = %(wallet)s
"""
# Upwards what the payments stand in for; downwards what stands in for those that were void at some time, which are few.
RIVALS = """
WITH RECURSIVE up AS (
    SELECT m.reissue_of_id AS id FROM payments_payment m
    WHERE m.payout_id = ANY(%(payouts)s) AND m.reissue_of_id IS NOT NULL
    UNION SELECT m.reissue_of_id FROM up JOIN payments_payment m ON m.id = up.id WHERE m.reissue_of_id IS NOT NULL
)
SELECT DISTINCT m.payout_id FROM up JOIN payments_payment m ON m.id = up.id JOIN payments_payout p ON p.id = m.payout_id
WHERE p.wallet_id = %(wallet)s
"""
ONCE_VOID = """
SELECT m.id FROM payments_payout p JOIN payments_payment m ON m.payout_id = p.id
WHERE p.wallet_id = %(wallet)s AND p.id = ANY(%(payouts)s) AND EXISTS (
    SELECT FROM payments_statuschange c WHERE c.subject = 'payout' AND c.subject_id = p.id AND c.new = 'voided')
"""
REISSUED = """
WITH RECURSIVE down AS (
    SELECT m.id, m.payout_id FROM payments_payment m WHERE m.reissue_of_id = ANY(%(payments)s)
    UNION SELECT m.id, m.payout_id FROM down JOIN payments_payment m ON m.reissue_of_id = down.id
)
SELECT DISTINCT p.id FROM down JOIN payments_payout p ON p.id = down.payout_id WHERE p.wallet_id = %(wallet)s
"""
# Signed versions of payouts that no block holds.
UNMINED = """
SELECT t.txid FROM payments_payout p JOIN payments_payouttx t ON t.payout_id = p.id
WHERE p.wallet_id = %(wallet)s AND p.mined_txid IS NULL AND p.status NOT IN ('unsealed', 'voided') AND t.raw IS NOT NULL
ORDER BY t.id
"""
ASKED_AT_ONCE = 500


class ScanTaken(Unavailable):
    """Others had the node look through its unspent outputs for so long that our turn did not come."""

    code = "scan_taken"


def backend() -> "ChainEvidence":
    """Return the witness that ``settings.LEDGER_EVIDENCE`` names."""
    return ChainEvidence()


class ChainEvidence:
    """Implements ``ledger.reconciliation.evidence.Backend`` with the node and the tables of payments."""

    def __init__(self) -> None:
        self.client = node.connect()
        # Only the scan may take long; a node that hangs is noticed by the calls before it.
        timeout_s = max(settings.GOVPAY_NODE_TIMEOUT_S, alone.SCAN_TIMEOUT_S)
        self.scanner = node.Node(settings.GOVPAY_NODE_URL, timeout_s=timeout_s)

    def scopes(self) -> list[str]:
        """Return the scopes of all programs on the network that the settings name."""
        return [program.scope for program in Program.objects.filter(network=network.current()).order_by("pk")]

    def chain(self, scope: str) -> ChainFacts:
        """Return the node's best block, up to which the follower has read; what is left to read is read here.

        Raises WrongChain and MainnetRefused, SourceTooOld for a node that lives in the past, SourceStale while another
        worker still reads, and what the follower and the node raise.
        """
        network.check_node(self.client, network.current())
        info = self.client.chain_info()
        age_s = int(time.time()) - info.tip_time
        is_alive = network.current() == network.Network.REGTEST or (
            age_s <= settings.GOVPAY_TIP_MAX_AGE_S and not info.initial_download
        )
        if not is_alive:
            raise SourceTooOld(f"The node's best block {info.height} is {age_s} s old.", age_s=age_s)
        try:
            # Where one process is all there is, nobody else would while we wait.
            follow.catch_up(self.client, failpoint=failpoint.hit)
        except guard.FollowerBehind as error:
            raise SourceStale("Another worker still reads the node's newest blocks.") from error
        tip = Block.objects.filter(is_active=True).latest("height")
        return ChainFacts(network.current().value, tip.block_hash, tip.height)

    def block_at(self, height: int) -> str | None:
        """Return the block that the node's chain has at the height, None above the tip; raise NodeError."""
        return self.client.block_hash(height)

    def walk(self, scope: str, start: Start | None) -> walks.BlockWalk:
        """Return a reader of raw blocks that goes on from there, or begins at the wallet's birth."""
        return walks.BlockWalk(self.client, _wallet(scope), start)

    def waiting(self, scope: str) -> Iterator[str]:
        """Yield the txids of signed versions, in no block, that wait in the node's memory pool; raise NodeError."""
        left = (txid for (txid,) in _rows(UNMINED, scope))
        while txids := list(islice(left, ASKED_AT_ONCE)):
            lacking = self.client.mempool_lacks(txids)
            yield from (txid for txid in txids if txid not in lacking)

    def utxos(self, scope: str, chain: ChainFacts) -> UtxoFact:
        """Let the node look through its own set of unspent outputs, when it is our turn among all runs.

        Raises SourceStale where it moved on meanwhile, or is busy for somebody who is none of us; ScanTaken, NodeError.
        """
        scripts = sorted(walks.scripts(_wallet(scope)))
        if not scripts:
            info = self.client.chain_info()
            return UtxoFact(info.best_block_hash, info.height, 0, 0)
        with alone.only_one(alone.SCAN_LOCK, wait_s=SCAN_WAIT_S) as is_mine:
            if not is_mine:
                raise ScanTaken(
                    f"Other runs had the node look through its unspent outputs for {SCAN_WAIT_S:,} s; reconcile again later."
                )
            if self.client.chain_info().best_block_hash != chain.block_hash:
                raise SourceStale(f"The node moved on from block {chain.block_hash}.")
            try:
                found = self.scanner.scan_utxos(scripts)
            except node.NodeBusy as error:
                raise SourceStale(error.message) from error
        amount_sat = sum(output.amount_sat for _, output, _ in found.unspents)
        return UtxoFact(found.block_hash, found.height, amount_sat, len(found.unspents))

    def read_tip(self) -> str:
        """Return the hash of the last block that was read, empty before the first."""
        tip = Block.objects.filter(is_active=True).order_by("-height").values_list("block_hash", flat=True)
        return tip.first() or ""

    def changed(self, scope: str, since: str, txids: Sequence[str]) -> Iterator[int]:
        """Yield the payouts whose rows may have changed since a snapshot, and those with one of the txs."""
        yield from (pk for (pk,) in _rows(CHANGED, scope, since=since, txids=list(txids)))

    def owners(self, scope: str, payment_ids: Sequence[int]) -> Iterator[int]:
        """Yield the payouts of payments."""
        yield from (pk for (pk,) in _rows(OWNERS, scope, payments=list(payment_ids)))

    def rivals(self, scope: str, payout_ids: Sequence[int]) -> Iterator[int]:
        """Yield the payouts that these reissue, and those that reissue what of these was void at some time."""
        yield from (pk for (pk,) in _rows(RIVALS, scope, payouts=list(payout_ids)))
        if once_void := [pk for (pk,) in _rows(ONCE_VOID, scope, payouts=list(payout_ids))]:
            yield from (pk for (pk,) in _rows(REISSUED, scope, payments=once_void))

    def claims(self, scope: str, only: Sequence[int] | None) -> Iterator[Claim]:
        """Yield every payment whose payout is signed, ordered by txid and vout."""
        for payment_id, payout_id, txid, vout, script, *rest in _rows(SPEAKING + CLAIMS, scope, only=only):
            yield Claim(payment_id, payout_id, txid, vout, bytes(script), *rest)

    def conversions(self, scope: str, only: Sequence[int] | None) -> Iterator[Conversion]:
        """Yield what each of those payments was converted from, where people are entitled to money."""
        program = _wallet(scope).program
        if program.pays_sat:
            return
        scale = currency.scale(program.currency)
        for payment_id, payout_id, amount_minor, amount_sat, price in _rows(
            SPEAKING + CONVERSIONS, scope, only=only
        ):
            yield Conversion(payment_id, payout_id, amount_minor, amount_sat, int(price), scale)

    def converted(self, scope: str, list_ids: Sequence[int]) -> Iterator[ConvertedList]:
        """Yield what these lists were converted to."""
        for row in _rows(CONVERTED, scope, lists=list(list_ids)):
            yield ConvertedList(*row)

    def payouts(self, scope: str, only: Sequence[int] | None) -> Iterator[PayoutClaim]:
        """Yield every signed payout, ordered by txid."""
        for row in _rows(SPEAKING + PAYOUTS, scope, only=only):
            yield PayoutClaim(*row)

    def versions(self, scope: str, only: Sequence[int] | None) -> Iterator[Version]:
        """Yield the signed versions of those payouts, oldest first."""
        for row in _rows(SPEAKING + VERSIONS, scope, only=only):
            yield Version(*row)

    def change(self, scope: str, only: Sequence[int] | None) -> Iterator[ChangeClaim]:
        """Yield what signed txs give back to the wallet, ordered by txid and vout."""
        for txid, vout, script, amount_sat in _rows(SPEAKING + CHANGE, scope, only=only):
            yield ChangeClaim(txid, vout, bytes(script), amount_sat)


def _wallet(scope: str) -> Wallet:
    return Wallet.objects.select_related("program").get(program_id=int(scope.removeprefix("program:")))


def _rows(
    query: str, scope: str, *, only: Sequence[int] | None = None, **values: Any
) -> Iterator[tuple[Any, ...]]:
    """Stream a query's rows through a cursor that stays on the server."""
    values |= {"wallet": _wallet(scope).pk, "all": only is None, "only": list(only or [])}
    with connection.chunked_cursor() as cursor:
        cursor.execute(query, values)
        while rows := cursor.fetchmany(FETCH):
            yield from rows
