"""Reads blocks for a scope from where the last run stood, and walks back to the fork where its block left the chain."""

from dataclasses import dataclass

from django.db import connection, transaction

from ledger.models import ReadBlock, Standing
from ledger.reconciliation import touched
from ledger.reconciliation.evidence import Backend, ChainFacts, Start, Walk
from ledger.reconciliation.progress import Progress
from ledger.reconciliation.spool import Spool

BEFORE_ALL = -1
# What is unspent now, and what a tx above the height spends; of both, what was there at the height.
COINS = """
WITH coin AS MATERIALIZED (
    SELECT txid, vout, amount_sat FROM ledger_readoutput
    WHERE standing_id = %(standing)s AND is_ours AND NOT is_spent
    UNION ALL
    SELECT s.from_txid, s.from_vout, s.amount_sat FROM ledger_readtx b
    JOIN ledger_readspend s ON (s.standing_id, s.txid) = (b.standing_id, b.txid)
    WHERE b.standing_id = %(standing)s AND b.block_height > %(height)s
)
SELECT c.txid, c.vout, c.amount_sat FROM coin c JOIN ledger_readtx t ON t.standing_id = %(standing)s AND t.txid = c.txid
WHERE t.block_height <= %(height)s
"""


@dataclass
class Reading:
    """Blocks after ``height`` on their way into the standing that was found at run ``run_id``."""

    standing_id: int
    run_id: int | None
    is_full: bool
    height: int
    walk: Walk
    spool: Spool

    def read_to(self, chain: ChainFacts, progress: Progress) -> None:
        """Read up to and with the chain's block; raise what the walk raises."""
        blocks = self.walk.read_to(chain)
        self.spool.add(progress.count("reading blocks", blocks, chain.height))

    def close(self) -> None:
        """Delete what was read."""
        self.spool.close()


def begin(backend: Backend, scope: str, *, is_full: bool) -> Reading:
    """Start after the last block that was read and is still on the node's chain, or at the wallet's birth.

    Where the books were restored into another database cluster the watermarks say nothing, and all is read. Asks the
    node; raises what it raises.
    """
    standing, _ = Standing.objects.get_or_create(scope=scope)
    is_full = is_full or standing.run_id is None or standing.cluster != cluster()
    mark = None if is_full else _fork(backend, standing)
    start = None if mark is None else Start(mark.height, mark.block_hash, _coins(standing, mark.height))
    return Reading(
        standing.pk,
        standing.run_id,
        is_full,
        BEFORE_ALL if mark is None else mark.height,
        backend.walk(scope, start),
        Spool(standing.pk),
    )


def cluster() -> int:
    """Return which database cluster counts the transactions."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT system_identifier FROM pg_control_system()")
        return int(cursor.fetchone()[0])


def _fork(backend: Backend, standing: Standing) -> ReadBlock | None:
    """Return a block that was read and is on the chain; it may lie a little below the fork, never above it."""
    read = ReadBlock.objects.filter(standing=standing).order_by("height")
    height, step = standing.block_height, 1
    lowest = read.first()
    while height is not None and lowest is not None:
        mark = read.filter(height__lte=max(height, lowest.height)).last()
        if mark is None or backend.block_at(mark.height) == mark.block_hash:
            return mark
        if mark.height == lowest.height:
            return None
        height, step = mark.height - step, step * 2
    return None


def _coins(standing: Standing, height: int) -> dict[tuple[str, int], int]:
    """Return what was unspent after the block at a height, by outpoint."""
    with transaction.atomic(), connection.cursor() as cursor:
        touched.look_up()
        cursor.execute(COINS, {"standing": standing.pk, "height": height})
        return {(txid, vout): amount_sat for txid, vout, amount_sat in cursor}
