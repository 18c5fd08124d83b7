"""Seals groups of released payments: payments, outpoints, output order and manifest fixed in one database transaction."""

import hashlib
from typing import Any

from django.db import connection, transaction

from govpay.errors import Conflict
from payments import doorbell
from payments.models import (
    Disbursement,
    Payment,
    Payout,
    PayoutTxKind,
    Program,
    ScriptPurpose,
    StatusChange,
    Wallet,
    WalletScript,
)
from payments.onchain import node, tx
from payments.payout import caps, failpoint, guard, plan, versions, wallets
from payments.states import DisbursementStatus, PayoutStatus

COINBASE_MATURITY = 100
CHANGE_SCRIPTS_AT_ONCE = 10

# Confirmed, mature, reserved by nobody, not found gone a moment ago: a few that suffice alone, smallest first, and the
# largest.
FREE_COINS = """
WITH free AS MATERIALIZED (
    SELECT c.txid, c.vout, c.amount_sat, c.script_pubkey FROM payments_coin c
    WHERE c.wallet_id = %(wallet)s AND c.spent_by_txid IS NULL
    AND (NOT c.is_coinbase OR c.block_height + %(maturity)s <=
        (SELECT max(height) FROM payments_block WHERE is_active))
    AND NOT EXISTS (
        SELECT FROM payments_reservation r WHERE r.txid = c.txid AND r.vout = c.vout AND r.is_live)
    AND (c.txid, c.vout) NOT IN (
        SELECT r.txid, r.vout FROM payments_payout p JOIN payments_reservation r ON r.payout_id = p.id
        WHERE p.status = 'unsealed' AND p.due_at > clock_timestamp())
)
(SELECT * FROM free WHERE amount_sat >= %(need)s ORDER BY amount_sat LIMIT 5)
UNION (SELECT * FROM free ORDER BY amount_sat DESC LIMIT %(most)s)
"""


class WalletNotReady(Conflict):
    """The engine has not made the program's wallet in the node yet."""

    code = "wallet_not_ready"
    is_transient = True


def refill_change(wallet: Wallet, client: node.Node) -> None:
    """Keep change scripts in store, because asking the node is not allowed inside the sealing transaction."""
    if wallet.ready_at is None:
        raise WalletNotReady("The program's wallet is not ready in the node yet.")
    free = WalletScript.objects.filter(wallet=wallet, purpose=ScriptPurpose.CHANGE, is_claimed=False).count()
    if free >= CHANGE_SCRIPTS_AT_ONCE // 2:
        return
    wallets.add_change(wallet, client, CHANGE_SCRIPTS_AT_ONCE)


@transaction.atomic
def seal_next(disbursement: Disbursement, *, feerate_sat_kvb: int) -> int | None:
    """Seal the next group of a released disbursement and return the payout's id; None when no payment is left.

    Raises guard.EngineStopped, guard.WalletHalted, plan.InsufficientCoins, and caps.FeeOverShare, FeeOverBudget or
    FeeOverReserve; nothing is sealed then.
    """
    program = disbursement.program
    wallet = Wallet.objects.select_for_update().get(program=program)
    guard.require_wallet_runs(wallet)
    lines = _claim(disbursement, program)
    if not lines:
        return None
    failpoint.hit("K5")
    need_sat = sum(line.amount_sat for line in lines)
    planned = plan.fund(lines, free_coins(wallet, need_sat), feerate_sat_kvb=feerate_sat_kvb)
    caps.require(
        program,
        disbursement,
        payments_sat=planned.payments_sat,
        fee_sat=planned.fee_sat,
        added_sat=planned.fee_sat,
    )
    amounts = (planned.change_sat,) if planned.change_sat else ()
    change = [
        tx.Output(amount, script)
        for amount, script in zip(amounts, claim_change(wallet, len(amounts)), strict=True)
    ]
    payout = Payout.objects.create(
        disbursement=disbursement,
        wallet=wallet,
        payment_count=len(planned.lines),
        payments_sat=planned.payments_sat,
        manifest_hash=manifest_hash(planned.lines),
        anchor_txid=planned.anchor.txid,
        anchor_vout=planned.anchor.vout,
    )
    StatusChange.objects.create(
        subject="payout",
        subject_id=payout.pk,
        old="",
        new=PayoutStatus.SEALED,
        reason="payments were grouped",
    )
    versions.reserve(
        payout,
        [
            versions.Input(coin.outpoint, tx.Output(coin.amount_sat, coin.script_pubkey))
            for coin in planned.coins
        ],
    )
    failpoint.hit("K6")
    versions.add(
        payout,
        versions.Draft(
            kind=PayoutTxKind.ORIGINAL,
            inputs=[coin.outpoint for coin in planned.coins],
            payments=[tx.Output(line.amount_sat, line.script_pubkey) for line in planned.lines],
            change=change,
            fee_sat=planned.fee_sat,
            weight=planned.weight,
        ),
    )
    _assign(payout, planned)
    doorbell.ring("advance", payout_id=payout.pk)
    return int(payout.pk)


def manifest_hash(lines: tuple[plan.Line, ...]) -> bytes:
    """Return the SHA-256 of ``payment id|script_pubkey hex|satoshis`` lines in output order."""
    text = "".join(f"{line.payment_id}|{line.script_pubkey.hex()}|{line.amount_sat}\n" for line in lines)
    return hashlib.sha256(b"govpay-payout-1\n" + text.encode()).digest()


def _claim(disbursement: Disbursement, program: Program) -> tuple[plan.Line, ...]:
    """Lock the next unsealed payments, skipping what another worker is sealing."""
    rows = (
        Payment.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(
            disbursement=disbursement,
            disbursement__status=DisbursementStatus.RELEASED,
            payout__isnull=True,
            status="pending",
        )
        .order_by("pk")
        .values_list("pk", "script_pubkey", "amount_sat")[: program.group_max_payments]
    )
    lines = [plan.Line(pk, bytes(script or b""), amount) for pk, script, amount in rows]
    return plan.group(lines, max_payments=program.group_max_payments, max_vsize_vb=program.group_max_vsize_vb)


def free_coins(wallet: Wallet, need_sat: int) -> list[plan.FreeCoin]:
    """Return confirmed coins that nothing reserves: a few that suffice alone, and the largest."""
    values: dict[str, Any] = {
        "wallet": wallet.pk,
        "maturity": COINBASE_MATURITY,
        "need": need_sat,
        "most": plan.MAX_INPUTS,
    }
    with connection.cursor() as cursor:
        cursor.execute(FREE_COINS, values)
        return [
            plan.FreeCoin(tx.OutPoint(txid, vout), amount, bytes(script))
            for txid, vout, amount, script in cursor.fetchall()
        ]


def claim_change(wallet: Wallet, count: int) -> list[bytes]:
    """Take change scripts for one payout; they are never used again."""
    scripts = (
        WalletScript.objects.select_for_update(skip_locked=True)
        .filter(wallet=wallet, purpose=ScriptPurpose.CHANGE, is_claimed=False)
        .order_by("pk")[:count]
    )
    claimed = list(scripts)
    if len(claimed) < count:
        raise WalletNotReady("No change script is in store; the next visit asks the node for more.")
    WalletScript.objects.filter(pk__in=[script.pk for script in claimed]).update(is_claimed=True)
    return [bytes(script.script_pubkey) for script in claimed]


def _assign(payout: Payout, planned: plan.Plan) -> None:
    """Give every payment its output in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_payment p SET payout_id = %s, vout = g.position - 1"
            " FROM unnest(%s::bigint[]) WITH ORDINALITY AS g(id, position)"
            " WHERE p.id = g.id AND p.payout_id IS NULL AND p.status = 'pending'",
            [payout.pk, [line.payment_id for line in planned.lines]],
        )
        # They are locked by this transaction, so that only a bug could make the counts differ.
        assert cursor.rowcount == len(planned.lines), cursor.rowcount
