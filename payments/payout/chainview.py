"""Keeps what we know of the chain: connects a block, or takes the tip back, in one database transaction each."""

from datetime import UTC, datetime

import structlog
from django.db import connection, transaction
from django.utils import timezone

from ledger import arrays, books, events
from payments.models import Block, ChainFact, Coin, Payout, PayoutTx, Wallet
from payments.models.chain import ChainFactKind
from payments.models.history import move
from payments.onchain import block as blocks
from payments.onchain import scan, tx
from payments.payout import booking, guard
from payments.states import PayoutStatus as S

log = structlog.get_logger(__name__)


@transaction.atomic
def connect(block: blocks.Block, height: int) -> bool:
    """Record the block, what it did to our coins, and which of our txs it holds; book deposits.

    Returns whether it holds a tx of ours.
    """
    insert(block.header, block.hash, block.prev_hash, height, block.time)
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
    spenders = {m.tx.txid: {outpoints[spent] for spent in m.spent} for m in movements if m.spent}
    _lock_robbed(spenders)
    facts = _record_facts(movements, outpoints, block.hash, height)
    ours = _mark_mined([movement.tx for movement in movements], block.hash, height)
    strange = spenders.keys() - ours
    for txid in sorted(strange):
        # Nobody but the engine may spend our coins: it is not booked, so that reconciliation shows a break.
        log.error("stranger_spent_our_coin", txid=txid, block_hash=block.hash)
        _halt(txid, spenders[txid])
    _book_deposits([coin for coin in coins if coin.txid not in ours | strange], facts)
    Coin.objects.bulk_create(coins)
    _mark_spent(movements, block.hash)
    return bool(ours)


def _lock_robbed(spenders: dict[str, set[int]]) -> None:
    """Lock the wallets that will be halted, because a wallet's row comes before the rows of its payouts."""
    found = PayoutTx.objects.filter(txid__in=spenders).exclude(payout__status=S.UNSEALED)
    ours = set(found.values_list("txid", flat=True))
    robbed = {pk for txid, wallet_ids in spenders.items() if txid not in ours for pk in wallet_ids}
    list(Wallet.objects.lock().filter(pk__in=robbed).order_by("pk"))


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


@transaction.atomic
def disconnect(tip: Block) -> None:
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


def insert(header: bytes, block_hash: str, prev_hash: str, height: int, time_s: int) -> None:
    Block.objects.update_or_create(
        block_hash=block_hash,
        defaults={
            "header": header,
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
    with arrays.cursor(connection) as cursor:
        cursor.execute(
            "SELECT script_pubkey, wallet_id FROM payments_walletscript WHERE script_pubkey = ANY(%s::bytea[])",
            [paid],
        )
        return {bytes(script): wallet_id for script, wallet_id in cursor.fetchall()}


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
