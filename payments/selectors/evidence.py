"""What payments testify to the ledger: claims from the database, and what raw blocks and the node's coins say."""

import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import connection

from ledger.reconciliation.evidence import (
    ChainFacts,
    ChainForked,
    ChainOutput,
    ChainSpend,
    ChainTx,
    ChangeClaim,
    Claim,
    PayoutClaim,
    SourceStale,
    SourceTooOld,
    UtxoFact,
)
from payments.models import Block, Program, Wallet, WalletScript
from payments.onchain import block as blocks
from payments.onchain import network, node, tx

# Looking through all unspent outputs of a public test network takes minutes.
SCAN_TIMEOUT_S = 600
FETCH = 5_000

# Of a payout's versions the one that a block holds speaks for it, and else the newest signed one that pays. The fee is
# what the books hold, and a void pays nobody. A child is silent while its parent is in a block as another version.
SPEAKING = """
WITH speaking AS MATERIALIZED (
    SELECT DISTINCT ON (p.id) p.id, t.id AS version_id, t.txid, p.booked_fee_sat AS fee_sat,
        CASE t.kind WHEN 'void' THEN 0 ELSE p.payments_sat END AS payments_sat, t.kind, p.mined_txid IS NOT NULL AS is_mined
    FROM payments_payout p JOIN payments_payouttx t ON t.payout_id = p.id
    WHERE p.wallet_id = %s AND p.status <> 'unsealed' AND t.raw IS NOT NULL
        AND (t.txid = p.mined_txid OR (t.kind <> 'void' AND p.status <> 'voided'))
        AND NOT EXISTS (
            SELECT FROM payments_payout parent WHERE parent.id = p.parent_id AND parent.mined_txid <> p.anchor_txid)
    ORDER BY p.id, coalesce(t.txid = p.mined_txid, false) DESC, t.id DESC
)
"""
CLAIMS = (
    SPEAKING
    + """
SELECT m.id, s.id, s.txid, m.vout, m.script_pubkey, m.amount_sat, s.is_mined
FROM speaking s JOIN payments_payment m ON m.payout_id = s.id WHERE s.kind <> 'void' ORDER BY s.txid, m.vout
"""
)
PAYOUTS = (
    SPEAKING
    + """
SELECT id, txid, fee_sat, payments_sat, is_mined FROM speaking ORDER BY txid
"""
)
CHANGE = (
    SPEAKING
    + """
SELECT s.txid, c.vout, c.script_pubkey, c.amount_sat
FROM speaking s JOIN payments_changeoutput c ON c.version_id = s.version_id
UNION ALL
SELECT s.txid, 0, '\\x6a20'::bytea || sha256(convert_to(c.note, 'UTF8')), 0
FROM speaking s JOIN payments_payout p ON p.id = s.id JOIN ledger_checkpoint c ON c.id = p.checkpoint_id
WHERE s.kind <> 'void'
ORDER BY 1, 2
"""
)


def backend() -> "ChainEvidence":
    """Return the witness that ``settings.LEDGER_EVIDENCE`` names."""
    return ChainEvidence()


class ChainEvidence:
    """Implements ``ledger.reconciliation.evidence.Backend`` with the node and the tables of payments."""

    def __init__(self) -> None:
        self.client = node.connect()
        # Only the scan may take long; a node that hangs is noticed by the calls before it.
        timeout_s = max(settings.GOVPAY_NODE_TIMEOUT_S, SCAN_TIMEOUT_S)
        self.scanner = node.Node(settings.GOVPAY_NODE_URL, timeout_s=timeout_s)

    def scopes(self) -> list[str]:
        """Return the scopes of all programs on the network that the settings name."""
        return [program.scope for program in Program.objects.filter(network=network.current()).order_by("pk")]

    def chain(self, scope: str) -> ChainFacts:
        """Return the node's best block if the follower has read it.

        Raises WrongChain and MainnetRefused, SourceTooOld for a node that lives in the past, SourceStale while
        the follower is behind, and NodeError.
        """
        network.check_node(self.client, network.current())
        info = self.client.chain_info()
        age_s = int(time.time()) - info.tip_time
        is_alive = network.current() == network.Network.REGTEST or (
            age_s <= settings.GOVPAY_TIP_MAX_AGE_S and not info.initial_download
        )
        if not is_alive:
            raise SourceTooOld(f"The node's best block {info.height} is {age_s} s old.", age_s=age_s)
        if self.read_tip() != info.best_block_hash:
            raise SourceStale(
                f"The follower has not read the node's best block {info.height} yet.",
                block_hash=info.best_block_hash,
            )
        return ChainFacts(network.current().value, info.best_block_hash, info.height)

    def walk(self, scope: str) -> "BlockWalk":
        """Return a reader of raw blocks from the wallet's birth on."""
        return BlockWalk(self.client, _wallet(scope))

    def utxos(self, scope: str) -> UtxoFact:
        """Let the node look through its own set of unspent outputs; raise SourceStale while it is busy."""
        scripts = sorted(_scripts(_wallet(scope)))
        if not scripts:
            info = self.client.chain_info()
            return UtxoFact(info.best_block_hash, info.height, 0, 0)
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

    def claims(self, scope: str) -> Iterator[Claim]:
        """Yield every payment whose payout is signed, ordered by txid and vout."""
        for payment_id, payout_id, txid, vout, script, amount_sat, is_mined in _rows(CLAIMS, scope):
            yield Claim(payment_id, payout_id, txid, vout, bytes(script), amount_sat, is_mined)

    def payouts(self, scope: str) -> Iterator[PayoutClaim]:
        """Yield every signed payout, ordered by txid."""
        for row in _rows(PAYOUTS, scope):
            yield PayoutClaim(*row)

    def change(self, scope: str) -> Iterator[ChangeClaim]:
        """Yield what signed txs give back to the wallet, ordered by txid and vout."""
        for txid, vout, script, amount_sat in _rows(CHANGE, scope):
            yield ChangeClaim(txid, vout, bytes(script), amount_sat)


class BlockWalk:
    """Reads raw blocks by hash and follows the wallet's coins itself, whatever the follower wrote down."""

    def __init__(self, client: node.Node, wallet: Wallet) -> None:
        self.client = client
        self.wallet = wallet
        self.unspent: dict[tx.OutPoint, int] = {}
        self.height: int | None = None
        self.block_hash = ""

    def read_to(self, chain: ChainFacts) -> Iterator[ChainTx]:
        """Yield the wallet's txs in the blocks up to and with the chain's; raise ChainForked and NodeError."""
        if self.wallet.birth_height is None:
            return
        scripts = _scripts(self.wallet)
        start = self.wallet.birth_height if self.height is None else self.height + 1
        for height in range(start, chain.height + 1):
            block_hash = self.client.block_hash(height)
            if block_hash is None:
                raise ChainForked(f"The node has no block at height {height} any more.")
            block = blocks.parse(self.client.raw_block(block_hash), block_hash=block_hash)
            if self.block_hash and block.prev_hash != self.block_hash:
                raise ChainForked(f"Block {block_hash} does not follow block {self.block_hash}.")
            found = [self._describe(t, scripts, block_hash, height) for t in block.txs]
            self.height, self.block_hash = height, block_hash
            yield from (chain_tx for chain_tx in found if chain_tx is not None)
        if self.block_hash and self.block_hash != chain.block_hash:
            raise ChainForked(f"Block {chain.block_hash} is not on the node's chain any more.")

    def _describe(self, found: tx.Tx, scripts: set[bytes], block_hash: str, height: int) -> ChainTx | None:
        """Return what the tx did to the wallet, None for a stranger's, and follow the coins."""
        spends = tuple(
            ChainSpend(outpoint.txid, outpoint.vout, self.unspent.pop(outpoint))
            for outpoint in found.inputs
            if outpoint in self.unspent
        )
        received = [vout for vout, output in enumerate(found.outputs) if output.script_pubkey in scripts]
        if not spends and not received:
            return None
        for vout in received:
            self.unspent[tx.OutPoint(found.txid, vout)] = found.outputs[vout].amount_sat
        outputs = tuple(
            ChainOutput(vout, output.script_pubkey, output.amount_sat, output.script_pubkey in scripts)
            for vout, output in enumerate(found.outputs)
        )
        return ChainTx(found.txid, block_hash, height, len(found.inputs), outputs, spends)


def _wallet(scope: str) -> Wallet:
    return Wallet.objects.get(program_id=int(scope.removeprefix("program:")))


def _scripts(wallet: Wallet) -> set[bytes]:
    rows = WalletScript.objects.filter(wallet=wallet).values_list("script_pubkey", flat=True)
    return {bytes(script) for script in rows.iterator(chunk_size=FETCH)}


def _rows(query: str, scope: str) -> Iterator[tuple[Any, ...]]:
    """Stream a query's rows through a cursor that stays on the server."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(query, [_wallet(scope).pk])
        while rows := cursor.fetchmany(FETCH):
            yield from rows
