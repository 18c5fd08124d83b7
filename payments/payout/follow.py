"""Follows the chain by hash: walks back to the fork and forward to the node's tip, then derives states."""

from contextlib import AbstractContextManager

from django.db import connection, transaction

from govpay.errors import GovPayError
from payments.models import Block, Heartbeat, NodeStatus, Payout
from payments.onchain import block as blocks
from payments.onchain import node
from payments.payout import alarms, alone, chainview, derive, guard, mempool
from payments.payout.ports import FailPoint
from payments.states import PAYOUT_ACTIVE

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


class BlocksPruned(GovPayError):
    """The node threw away a block that we have yet to read; another node, or a new download, must provide it."""

    code = "blocks_pruned"
    http_status = 503


def only_one() -> AbstractContextManager[bool]:
    """Hold the follower's lock and tell whether it is ours."""
    return alone.only_one(FOLLOWER_LOCK)


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
        tip = Block.objects.filter(is_active=True).latest("height")
        if not NodeStatus.objects.filter(is_ok=True, block_hash=tip.block_hash).exists():
            _wake()
            alarms.clear(PRUNED, subject="node", note="The blocks were read.")
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


def catch_up(client: node.Node, *, failpoint: FailPoint) -> None:
    """Read the blocks that are left, unless another worker does, and raise guard.FollowerBehind if some still are."""
    try:
        guard.require_follower_at_tip(client)
    except guard.FollowerBehind:
        with only_one() as is_mine:
            if is_mine:
                follow(client, failpoint=failpoint)
        guard.require_follower_at_tip(client)


def _wake() -> None:
    """Let payouts that failed try again at once: the node is back, or a block came.

    A block is what ends most waits: it empties the memory pool, so that fees fall and chains get shorter, and brings
    inputs back that a reorganization took. Until one comes, each waits longer every time.
    """
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
            chainview.disconnect(tip)
            continue
        next_hash = client.block_hash(tip.height + 1)
        if next_hash is None:
            return has_ours
        block = blocks.parse(_raw_block(client, next_hash, tip.height + 1), block_hash=next_hash)
        # Another branch may have won between two calls; the next round sees it.
        if block.prev_hash == tip.block_hash:
            has_ours |= chainview.connect(block, tip.height + 1)


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
    header, raw = client.block_header(first_hash), client.raw_header(first_hash)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [BEGIN_LOCK])
        if not Block.objects.exists():
            chainview.insert(raw, header.hash, header.prev_hash, header.height, header.time)


def _require_fork(client: node.Node) -> None:
    """Raise ForkTooDeep unless the node has the first block that was read: another chain must undo nothing here."""
    first = Block.objects.filter(is_active=True).earliest("height")
    if client.block_hash(first.height) != first.block_hash:
        raise ForkTooDeep(
            f"The node's chain has no block {first.block_hash}, the first that was read; it is another chain.",
            block_hash=first.block_hash,
        )
