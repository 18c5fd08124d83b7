"""Follows the chain by hash: connects and disconnects blocks one database transaction each, then derives states."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog
from django.db import connection, transaction
from django.utils import timezone

from govpay.errors import GovPayError
from ledger import books, events
from payments.models import (
    Block,
    ChainFact,
    Coin,
    Heartbeat,
    NodeStatus,
    Payout,
    PayoutTx,
    Wallet,
    WalletScript,
)
from payments.models.chain import ChainFactKind
from payments.models.history import move
from payments.onchain import block as blocks
from payments.onchain import node, scan, tx
from payments.payout import alarms, booking, derive, guard, mempool
from payments.payout.ports import FailPoint
from payments.states import PAYOUT_ACTIVE
from payments.states import PayoutStatus as S

log = structlog.get_logger(__name__)

# One advisory lock for the follower: PostgreSQL ends it with the session, so a dead follower holds nothing.
FOLLOWER_LOCK = 0x676F7670
BEGIN_LOCK = FOLLOWER_LOCK + 1
# The first block that is read lies this deep, because there is no way back over it: a new tip is often replaced.
BEGIN_DEPTH = 24
# The alarm about blocks that the node pruned before they were read.
PRUNED = "blocks_pruned"
# How often the node's memory pool is asked for what it took from us.
MEMPOOL_S = 30


class ForkTooDeep(GovPayError):
    """The node's chain left ours before the first block we read: it is another chain."""

    code = "fork_too_deep"
    http_status = 503


@contextmanager
def only_one() -> Iterator[bool]:
    """Hold the follower's lock and tell whether it is ours; it ends with the database session, so no crash keeps it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [FOLLOWER_LOCK])
        is_mine = bool(cursor.fetchone()[0])
    try:
        yield is_mine
    finally:
        # A session that broke has given the lock back by itself.
        if is_mine and connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [FOLLOWER_LOCK])


class BlocksPruned(GovPayError):
    """The node threw away a block that we have yet to read; another node, or a new download, must provide it."""

    code = "blocks_pruned"
    http_status = 503


def follow(client: node.Node, *, failpoint: FailPoint) -> None:
    """Bring our view to the node's tip and derive what that means for payouts.

    The caller is the only one, and has checked the node's chain. Raises NodeError, BlocksPruned, ForkTooDeep; whatever
    was read until then stays read.
    """
    try:
        if read_blocks(client, failpoint):
            failpoint("K13")
        derive.derive()
        if Heartbeat.is_due("mempool", every_s=MEMPOOL_S):
            mempool.offer_forgotten(client)
            Heartbeat.beat("mempool")
        if NodeStatus.objects.filter(is_ok=False).exists():
            _wake()
            alarms.clear(PRUNED, subject="node", note="The blocks were read.")
        tip = Block.objects.filter(is_active=True).latest("height")
        guard.record(
            is_ok=True,
            subversion=client.network_info().subversion,
            block_hash=tip.block_hash,
            block_height=tip.height,
        )
    except GovPayError as error:
        # Whatever keeps the follower from the tip must be seen: without it nothing settles.
        guard.record(is_ok=False, code=error.code, message=error.message)
        raise


def _wake() -> None:
    """Let payouts that failed while the node was away try again at once: it is back."""
    Payout.objects.filter(status__in=PAYOUT_ACTIVE, attempts__gt=0).update(due_at=None)


def read_blocks(client: node.Node, failpoint: FailPoint) -> bool:
    """Walk back to the fork and forward to the node's tip, one block a database transaction.

    Returns whether a tx of ours was in a new block.
    """
    has_ours = False
    while True:
        tip = Block.objects.filter(is_active=True).order_by("-height").first()
        if tip is None:
            begin(client)
            continue
        if client.block_hash(tip.height) != tip.block_hash:
            _require_fork(client)
            failpoint("K17")
            _disconnect(tip)
            continue
        next_hash = client.block_hash(tip.height + 1)
        if next_hash is None:
            return has_ours
        block = blocks.parse(_raw_block(client, next_hash, tip.height + 1), block_hash=next_hash)
        # Another branch may have won between two calls; the next round sees it.
        if block.prev_hash == tip.block_hash:
            has_ours |= _connect(block, tip.height + 1)


def _raw_block(client: node.Node, block_hash: str, height: int) -> bytes:
    """Return a block's bytes; raise BlocksPruned, with an alarm, when the node has its header only and never again more."""
    try:
        return client.raw_block(block_hash)
    except node.BlockUnknown as error:
        if "pruned data" not in error.message:
            raise
        message = (
            f"The node has pruned block {height}, which was not read yet: point GOVPAY_NODE_URL at a node that has it,"
            f" or let this one download the chain anew. Nothing after it is settled until then."
        )
        alarms.sound(PRUNED, subject="node", message=message)
        raise BlocksPruned(message, block_hash=block_hash, block_height=height) from error


def begin(client: node.Node) -> None:
    """Take a block near the node's tip as the first we know, unless there is one; every wallet is born after it."""
    first_hash = client.block_hash(max(client.chain_info().height - BEGIN_DEPTH, 0))
    if first_hash is None:
        raise node.BlockUnknown("The node's chain became shorter while it was asked.")
    header = client.block_header(first_hash)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [BEGIN_LOCK])
        if not Block.objects.exists():
            _insert_block(header.hash, header.prev_hash, header.height, header.time)


@transaction.atomic
def _connect(block: blocks.Block, height: int) -> bool:
    """Record the block, what it did to our coins, and which of our txs it holds; book deposits.

    Returns whether it holds a tx of ours.
    """
    _insert_block(block.hash, block.prev_hash, height, block.time)
    scripts = _our_scripts(block)
    outpoints = _our_outpoints(block)
    movements = list(scan.movements(block, scripts, outpoints))
    if not movements:
        return False
    coins = [
        Coin(
            wallet_id=scripts[output.script_pubkey],
            txid=outpoint.txid,
            vout=outpoint.vout,
            amount_sat=output.amount_sat,
            script_pubkey=output.script_pubkey,
            is_coinbase=outpoint.txid == block.txs[0].txid,
            block_hash=block.hash,
            block_height=height,
        )
        for movement in movements
        for outpoint, output in movement.received
    ]
    # A block may hold a coin and the tx that spends it: a reorganization puts both back into one.
    outpoints |= {tx.OutPoint(coin.txid, coin.vout): coin.wallet_id for coin in coins}
    facts = _record_facts(movements, outpoints, block.hash, height)
    ours = _mark_mined([movement.tx for movement in movements], block.hash, height)
    strange = {m.tx.txid for m in movements if m.spent and m.tx.txid not in ours}
    for txid in strange:
        # Nobody but the engine may spend our coins: it is not booked, so that reconciliation shows a break.
        log.error("stranger_spent_our_coin", txid=txid, block_hash=block.hash)
        _halt(txid, {outpoints[spent] for m in movements if m.tx.txid == txid for spent in m.spent})
    _book_deposits([coin for coin in coins if coin.txid not in ours | strange], facts)
    Coin.objects.bulk_create(coins)
    _mark_spent(movements, block.hash)
    return bool(ours)


def _halt(txid: str, wallet_ids: set[int]) -> None:
    """Halt the wallets whose coins a tx spends that is none of ours: whoever signed it has their keys."""
    for wallet in Wallet.objects.filter(pk__in=wallet_ids).order_by("pk"):
        reason = f"A coin of the wallet is spent by {txid}, which is in a block and is not ours."
        guard.halt(wallet, guard.HaltCode.STRANGER_SPENT, reason)


def _record_facts(
    movements: list[scan.Movement], outpoints: dict[tx.OutPoint, int], block_hash: str, height: int
) -> dict[str, int]:
    """Write a mined fact for each tx and return their ids by txid."""
    facts = ChainFact.objects.bulk_create(
        ChainFact(
            wallet_id=outpoints[movement.received[0][0] if movement.received else movement.spent[0]],
            kind=ChainFactKind.MINED,
            txid=movement.tx.txid,
            block_hash=block_hash,
            block_height=height,
        )
        for movement in movements
    )
    return {fact.txid: fact.pk for fact in facts}


def _mark_mined(txs: list[tx.Tx], block_hash: str, height: int) -> set[str]:
    """Note on our payouts which of their versions this block holds, and return those txids.

    A version may be in a block before its signed bytes were stored: a signer elsewhere sent it, or the worker died.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_payout p SET mined_txid = t.txid, mined_block_hash = %s, mined_height = %s"
            " FROM payments_payouttx t WHERE t.payout_id = p.id AND t.txid = ANY(%s) AND p.status <> 'unsealed'"
            " RETURNING t.txid",
            [block_hash, height, [found.txid for found in txs]],
        )
        ours = {txid for (txid,) in cursor.fetchall()}
    by_txid = {found.txid: found for found in txs}
    unsigned = PayoutTx.objects.filter(txid__in=ours, raw__isnull=True).exclude(payout__status=S.UNSEALED)
    for version in unsigned.select_related("payout__wallet").select_for_update(of=("self", "payout")):
        found = by_txid[version.txid]
        log.warning("signed_bytes_from_block", payout_id=version.payout_id, txid=version.txid)
        if version.payout.status == S.SEALED:
            # Somebody signed it: a database of an older day forgot that it was committed.
            move(
                Payout.objects.filter(pk=version.payout_id), old=S.SEALED, new=S.COMMITTED, note=version.txid
            )
        booking.keep_signed(version.payout, version, found.raw, weight=found.weight)
    return ours


def _book_deposits(coins: list[Coin], facts: dict[str, int]) -> None:
    """Book what others paid to our scripts, each under the fact that showed it, and note the entry on the coin.

    A miner may pay zero satoshis to anybody; there is nothing to book then, and the follower must not stumble.
    """
    coins = [coin for coin in coins if coin.amount_sat]
    programs = dict(Wallet.objects.values_list("pk", "program_id"))
    now = timezone.now()
    entry_ids = books.post(
        events.funding(
            program_id=programs[coin.wallet_id],
            txid=coin.txid,
            vout=coin.vout,
            amount_sat=coin.amount_sat,
            occurrence=facts[coin.txid],
            effective_at=now,
            block_hash=coin.block_hash,
            block_height=coin.block_height,
        )
        for coin in coins
    )
    for coin, entry_id in zip(coins, entry_ids, strict=True):
        coin.funding_entry_id = entry_id


def _require_fork(client: node.Node) -> None:
    """Raise ForkTooDeep unless the node has the first block that was read: another chain must undo nothing here."""
    first = Block.objects.filter(is_active=True).earliest("height")
    if client.block_hash(first.height) != first.block_hash:
        raise ForkTooDeep(
            f"The node's chain has no block {first.block_hash}, the first that was read; it is another chain.",
            block_hash=first.block_hash,
        )


@transaction.atomic
def _disconnect(tip: Block) -> None:
    """Take the tip back: coins, spends and deposits of it are undone, and unmined facts say so."""
    log.warning("block_disconnected", block_hash=tip.block_hash, height=tip.height)
    Block.objects.filter(pk=tip.pk).update(is_active=False)
    # It is the tip again, and what was derived from the block above it must be derived anew.
    Block.objects.filter(block_hash=tip.prev_hash).update(is_derived=False)
    Payout.objects.filter(mined_block_hash=tip.block_hash).update(
        mined_txid=None, mined_block_hash=None, mined_height=None
    )
    Coin.objects.filter(spent_block_hash=tip.block_hash).update(spent_by_txid=None, spent_block_hash=None)
    gone = Coin.objects.filter(block_hash=tip.block_hash)
    booked = gone.filter(funding_entry_id__isnull=False).values_list("funding_entry_id", flat=True)
    books.reverse_each(
        {entry_id: f"funding-reversed:{entry_id}" for entry_id in booked if entry_id is not None},
        effective_at=timezone.now(),
        memo=f"The deposit's block {tip.block_hash} left the chain.",
        actor=events.ENGINE,
    )
    gone.delete()
    mined = ChainFact.objects.filter(kind=ChainFactKind.MINED, block_hash=tip.block_hash)
    ChainFact.objects.bulk_create(
        ChainFact(
            wallet_id=fact.wallet_id,
            kind=ChainFactKind.UNMINED,
            txid=fact.txid,
            block_hash=tip.block_hash,
            block_height=tip.height,
        )
        for fact in mined.order_by("txid", "-pk").distinct("txid")
    )


def _insert_block(block_hash: str, prev_hash: str, height: int, time_s: int) -> None:
    Block.objects.update_or_create(
        block_hash=block_hash,
        defaults={
            "prev_hash": prev_hash,
            "height": height,
            "time": datetime.fromtimestamp(time_s, tz=UTC),
            "is_active": True,
            "is_derived": False,
        },
    )


def _our_scripts(block: blocks.Block) -> dict[bytes, int]:
    """Return the wallet of each of the block's scripts that is ours."""
    paid = list({output.script_pubkey for found in block.txs for output in found.outputs})
    rows = WalletScript.objects.filter(script_pubkey__in=paid).values_list("script_pubkey", "wallet_id")
    return {bytes(script): wallet_id for script, wallet_id in rows}


def _our_outpoints(block: blocks.Block) -> dict[tx.OutPoint, int]:
    """Return the wallet of each of the outpoints that the block spends which are coins of ours."""
    spent = [outpoint for found in block.txs for outpoint in found.inputs]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.txid, c.vout, c.wallet_id FROM payments_coin c"
            " JOIN unnest(%s::text[], %s::bigint[]) AS s(txid, vout) ON (c.txid, c.vout) = (s.txid, s.vout)",
            [[outpoint.txid for outpoint in spent], [outpoint.vout for outpoint in spent]],
        )
        return {tx.OutPoint(txid, vout): wallet_id for txid, vout, wallet_id in cursor.fetchall()}


def _mark_spent(movements: list[scan.Movement], block_hash: str) -> None:
    """Note on our coins which of the block's txs spent them."""
    spends = [(outpoint.txid, outpoint.vout, m.tx.txid) for m in movements for outpoint in m.spent]
    if not spends:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_coin c SET spent_by_txid = s.spender, spent_block_hash = %s"
            " FROM unnest(%s::text[], %s::bigint[], %s::text[]) AS s(txid, vout, spender)"
            " WHERE (c.txid, c.vout) = (s.txid, s.vout)",
            [block_hash, *(list(column) for column in zip(*spends, strict=True))],
        )
