"""Seals groups of released payments: payments, outpoints, output order and manifest fixed in one database transaction."""

import functools
import hashlib
from collections.abc import Callable, Sequence

from django.db import connection, transaction
from django.db.models import QuerySet

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
from payments.payout import caps, coins, failpoint, guard, plan, selection, versions, wallets
from payments.states import DisbursementStatus, PaymentStatus, PayoutStatus

CHANGE_SCRIPTS_AT_ONCE = 20


class WalletNotReady(Conflict):
    """The engine has not made the program's wallet in the node yet."""

    code = "wallet_not_ready"
    is_transient = True


class CoinsTooSmall(selection.InsufficientCoins):
    """The money is there, in more coins than one payout spends."""

    code = "coins_too_small"


def refill_change(wallet: Wallet, client: node.Node) -> None:
    """Keep change scripts in store, because asking the node is not allowed inside the sealing transaction."""
    if wallet.ready_at is None:
        raise WalletNotReady("The program's wallet is not ready in the node yet.")
    if _change_scripts(wallet).count() >= CHANGE_SCRIPTS_AT_ONCE // 2:
        return
    wallets.add_change(wallet, client, CHANGE_SCRIPTS_AT_ONCE)


@transaction.atomic
def seal_next(disbursement: Disbursement, *, feerate_sat_kvb: int) -> int | None:
    """Seal the next group of a released disbursement and return the payout's id; None when no payment is left.

    Raises guard.EngineStopped, guard.WalletHalted, selection.InsufficientCoins, and caps.FeeOverShare, FeeOverBudget or
    FeeOverReserve; nothing is sealed then.
    """
    program = disbursement.program
    wallet = Wallet.objects.select_for_update(of=("self",)).select_related("program").get(program=program)
    guard.require_wallet_runs(wallet)
    lines = _claim(disbursement, program, wallet)
    if not lines:
        return None
    failpoint.hit("K5")
    planned = _fund(disbursement, wallet, lines, coins.terms(wallet, feerate_sat_kvb))
    caps.require(
        program,
        disbursement,
        payments_sat=planned.payments_sat,
        fee_sat=planned.fee_sat,
        added_sat=planned.fee_sat,
    )
    scripts = claim_change(wallet, len(planned.change))
    change = [tx.Output(amount, script) for amount, script in zip(planned.change, scripts, strict=True)]
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


def _claim(disbursement: Disbursement, program: Program, wallet: Wallet) -> tuple[plan.Line, ...]:
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
    return plan.group(
        lines,
        max_payments=program.group_max_payments,
        max_vsize_vb=program.group_max_vsize_vb,
        input_weight=wallet.input_weight,
        change_weight=wallet.change_weight,
    )


def _fund(
    disbursement: Disbursement, wallet: Wallet, lines: Sequence[plan.Line], terms: selection.Terms
) -> plan.Plan:
    """Plan as much of the group as the free coins carry, and split its change while the wallet has few coins.

    Coins that come with the next blocks are waited for when they carry more at once.
    """
    need_sat = sum(line.amount_sat for line in lines)
    offered = coins.free(wallet, need_sat, feerate_sat_kvb=terms.feerate_sat_kvb)
    try:
        planned = plan.fund(lines, offered, terms)
    except selection.InsufficientCoins as shortage:
        planned = _fund_part(wallet, lines, offered, terms, shortage)
    if not planned.change:
        return planned
    next_sat = functools.partial(_next_sat, disbursement, planned.lines[-1].payment_id)
    return plan.split(planned, terms, _wish(wallet, planned, offered, next_sat))


def _fund_part(
    wallet: Wallet,
    lines: Sequence[plan.Line],
    offered: list[selection.FreeCoin],
    terms: selection.Terms,
    shortage: selection.InsufficientCoins,
) -> plan.Plan:
    """Halve the group until it fits, unless waiting for change on its way carries more; raise why it waits."""
    coming = coins.coming(wallet)
    part = plan.fund_part(lines, offered, terms)
    with_coming = plan.fund_part(lines, [*offered, *coming], terms)
    if with_coming is not None and (part is None or len(with_coming.lines) > len(part.lines)):
        raise shortage
    if part is not None:
        return part
    free_sat = coins.free_sat(wallet, feerate_sat_kvb=terms.feerate_sat_kvb)
    if free_sat > sum(coin.amount_sat for coin in offered) and free_sat >= lines[0].amount_sat:
        raise CoinsTooSmall(
            f"A payment of {lines[0].amount_sat} sat needs more than {selection.MAX_INPUTS} coins, the most that one"
            f" payout spends; the {free_sat} sat that are free lie in smaller ones. They have to be merged"
            " (consolidation), or a larger deposit made.",
            needed_sat=lines[0].amount_sat,
            free_sat=free_sat,
        )
    raise shortage


def _wish(
    wallet: Wallet, planned: plan.Plan, offered: list[selection.FreeCoin], next_sat: Callable[[], int]
) -> plan.ChangeWish:
    """Return into how many outputs change is split, so that the wallet keeps as many useful coins as it wants.

    Useful is what carries a group like this one, or the next if that is smaller.
    """
    each_sat = planned.payments_sat + planned.fee_sat
    left = [coin for coin in offered if coin not in planned.coins]
    wanted = wallet.program.coins_wanted - sum(coin.amount_sat >= each_sat for coin in left)
    if wanted <= 1:
        return plan.ONE_OUTPUT
    each_sat = min(each_sat, (next_sat() or planned.payments_sat) + planned.fee_sat)
    kept = [coin for coin in [*left, *coins.coming(wallet)] if coin.amount_sat >= each_sat]
    in_store = _change_scripts(wallet)[: plan.MAX_CHANGE].count()
    return plan.ChangeWish(min(wallet.program.coins_wanted - len(kept), in_store), each_sat)


def _next_sat(disbursement: Disbursement, after_id: int) -> int:
    """Return what the group after this payment will pay, 0 when it was the last."""
    waiting = Payment.objects.filter(
        disbursement=disbursement, pk__gt=after_id, payout__isnull=True, status=PaymentStatus.PENDING
    )
    rows = waiting.order_by("pk").values_list("amount_sat", flat=True)
    return sum(rows[: disbursement.program.group_max_payments])


def _change_scripts(wallet: Wallet) -> QuerySet[WalletScript]:
    return WalletScript.objects.filter(wallet=wallet, purpose=ScriptPurpose.CHANGE, is_claimed=False)


def claim_change(wallet: Wallet, count: int) -> list[bytes]:
    """Take change scripts for one payout; they are never used again."""
    claimed = list(_change_scripts(wallet).select_for_update(skip_locked=True).order_by("pk")[:count])
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
