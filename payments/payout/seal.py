"""Seals groups of released payments: payments, outpoints, output order and manifest fixed in one database transaction."""

import hashlib
from contextlib import AbstractContextManager
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Sum
from django.db.models.functions import Length

from govpay.errors import Conflict
from payments.models import (
    Disbursement,
    Payment,
    Payout,
    PayoutTxKind,
    Quote,
    Wallet,
)
from payments.onchain import node, tx
from payments.payout import (
    agreed,
    alone,
    caps,
    coins,
    durability,
    failpoint,
    funding,
    guard,
    plan,
    selection,
    versions,
    wallets,
)
from payments.signer import conversion
from payments.states import PaymentStatus

CHANGE_SCRIPTS_AT_ONCE = 20
# Amount and length of an output beside its script.
OUTPUT_OVERHEAD_VB = 9
# Advisory locks, one a list, far from all others.
SEALER_LOCKS = 0x676F << 48

# What a line reissues must be void still, on whichever rail it goes: a reorganization of 100 blocks may have undone that.
STILL_VOID = """
(p.reissue_of_id IS NULL OR 'voided' = (
    SELECT coalesce(v.status, o.status) FROM payments_payment o LEFT JOIN payments_payout v ON v.id = o.payout_id
    WHERE o.id = p.reissue_of_id))
"""
# Locks what nobody else is sealing. The list's own row is read once, so that a list that is stopped claims nothing.
CLAIM = f"""
SELECT p.id, p.beneficiary_id, p.script_pubkey, p.amount, p.reissue_of_id, p.amount_sat FROM payments_payment p
WHERE p.disbursement_id = (SELECT id FROM payments_disbursement WHERE id = %s AND status = 'released')
AND {STILL_VOID}
AND p.payout_id IS NULL AND p.sent_at IS NULL AND p.status = 'pending'
ORDER BY p.id LIMIT %s FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - a text of our own
# The range keeps the planner from walking through all that the list has still to pay, whatever it believes of it.
ASSIGN = """
UPDATE payments_payment p SET payout_id = %(payout)s, vout = g.position - 1{money}
FROM unnest(%(ids)s::bigint[]{arrays}) WITH ORDINALITY AS g(id{names}, position)
WHERE p.id = g.id AND p.payout_id IS NULL AND p.sent_at IS NULL AND p.status = 'pending' AND p.disbursement_id = %(list)s
AND p.id BETWEEN %(first)s AND %(last)s
"""

# Of money its satoshis, and what is left over, are written with the output.
ASSIGN_MONEY = ASSIGN.format(
    money=", amount_sat = g.sat, remainder_minor = g.rest",
    arrays=", %(sats)s::bigint[], %(rests)s::bigint[]",
    names=", sat, rest",
)
ASSIGN = ASSIGN.format(money="", arrays="", names="")

# Materialized, because a planner that runs the locking part twice would take twice as many.
CLAIM_CHANGE = """
WITH chosen AS MATERIALIZED (
    SELECT id FROM payments_walletscript WHERE wallet_id = %s AND purpose = 'change' AND NOT is_claimed
    ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE payments_walletscript s SET is_claimed = true FROM chosen WHERE s.id = chosen.id RETURNING s.id, s.script_pubkey
"""


class WalletNotReady(Conflict):
    """The engine has not made the program's wallet in the node yet."""

    code = "wallet_not_ready"
    is_transient = True


def refill_change(wallet: Wallet, client: node.Node) -> None:
    """Keep change scripts in store, because asking the node is not allowed inside the sealing transaction."""
    if wallet.ready_at is None:
        raise WalletNotReady("The program's wallet is not ready in the node yet.")
    if coins.change_in_store(wallet, CHANGE_SCRIPTS_AT_ONCE) >= CHANGE_SCRIPTS_AT_ONCE // 2:
        return
    wallets.add_change(wallet, client, CHANGE_SCRIPTS_AT_ONCE)


def only_one(disbursement_id: int) -> AbstractContextManager[bool]:
    """Hold the lock on sealing a list and tell whether it is ours."""
    return alone.only_one(SEALER_LOCKS + disbursement_id)


@transaction.atomic
def seal_next(disbursement: Disbursement, *, feerate_sat_kvb: int) -> int | None:
    """Seal the next group of a released disbursement and return the payout's id; None when no payment is left.

    Raises guard.EngineStopped, guard.WalletHalted, agreed.ApprovalForged, selection.InsufficientCoins,
    funding.CoinsTooSmall, and caps.FeeOverShare, FeeOverBudget or FeeOverReserve; nothing is sealed then.
    """
    durability.soften()
    wallet = Wallet.objects.lock().select_related("program").get(program=disbursement.program_id)
    guard.require_wallet_runs(wallet)
    terms = coins.terms(wallet, feerate_sat_kvb)
    planned = plan_next(disbursement, wallet, terms)
    if planned is None:
        return None
    payout = Payout(
        disbursement=disbursement,
        wallet=wallet,
        payment_count=len(planned.lines),
        payments_sat=planned.payments_sat,
        payments_minor=_entitled(disbursement, planned),
        manifest_hash=manifest_hash(planned.lines),
        anchor_txid=planned.anchor.txid,
        anchor_vout=planned.anchor.vout,
    )
    scripts = claim_change(wallet, len(planned.change))
    draft = versions.Draft(
        kind=PayoutTxKind.ORIGINAL,
        inputs=[coin.outpoint for coin in planned.coins],
        payments=[tx.Output(line.amount_sat, line.script_pubkey) for line in planned.lines],
        change=[tx.Output(amount, script) for amount, script in zip(planned.change, scripts, strict=True)],
        fee_sat=planned.fee_sat,
        weight=planned.weight,
    )
    versions.begin(payout, versions.inputs_from(planned.coins), draft, reason="payments were grouped")
    _assign(payout, planned, disbursement.quote)
    return int(payout.pk)


def plan_next(disbursement: Disbursement, wallet: Wallet, terms: selection.Terms) -> plan.Plan | None:
    """Lock the next payments, choose the coins that pay them and see that the caps allow it; None when none is left.

    Hold the wallet's row. Raises what ``seal_next`` does.
    """
    lines = _claim(disbursement, wallet)
    if not lines:
        return None
    failpoint.hit("K5")
    planned = funding.fund(disbursement, wallet, lines, terms)
    if len(planned.lines) < len(lines):
        _require_part(disbursement, planned, terms)
    else:
        _require_caps(disbursement, planned)
    return planned


def _entitled(disbursement: Disbursement, planned: plan.Plan) -> int | None:
    """Return what people of a group are entitled to, where that is money."""
    if disbursement.program.pays_sat:
        return None
    lines = Payment.objects.filter(pk__in=[line.payment_id for line in planned.lines])
    found: int = lines.aggregate(total=Sum("amount_minor"))["total"]
    return found


def manifest_hash(lines: tuple[plan.Line, ...]) -> bytes:
    """Return the SHA-256 of ``payment id|script_pubkey hex|satoshis`` lines in output order."""
    text = "".join(f"{line.payment_id}|{line.script_pubkey.hex()}|{line.amount_sat}\n" for line in lines)
    return hashlib.sha256(b"govpay-payout-1\n" + text.encode()).digest()


def _claim(disbursement: Disbursement, wallet: Wallet) -> tuple[plan.Line, ...]:
    """Lock the next unsealed payments that people agreed to, skipping what another worker is sealing."""
    program = wallet.program
    with connection.cursor() as cursor:
        # The columns are manifest.COLUMNS, and what the engine pays.
        cursor.execute(CLAIM, [disbursement.pk, program.group_max_payments])
        rows = cursor.fetchall()
    sats = agreed.satoshis(disbursement, [row[3] for row in rows])
    lines = plan.group(
        [plan.Line(row[0], row[2], amount_sat) for row, amount_sat in zip(rows, sats, strict=True)],
        max_payments=program.group_max_payments,
        max_vsize_vb=program.group_max_vsize_vb,
        input_weight=wallet.input_weight,
        change_weight=wallet.change_weight,
    )
    agreed.require_lines(disbursement, rows[: len(lines)])
    return lines


def _require_caps(disbursement: Disbursement, planned: plan.Plan, rest_sat: int = 0) -> None:
    caps.require(
        disbursement.program,
        disbursement,
        payments_sat=planned.payments_sat,
        fee_sat=planned.fee_sat,
        added_sat=planned.fee_sat,
        rest_sat=rest_sat,
    )


def _require_part(disbursement: Disbursement, planned: plan.Plan, terms: selection.Terms) -> None:
    """Let a part of a group go only while what is left of the fees that were approved pays for the whole rest, too.

    Paying in parts costs more; it must not use up what the last people's payout needs.
    """
    program = disbursement.program
    rest = Payment.objects.filter(
        disbursement=disbursement,
        payout__isnull=True,
        sent_at__isnull=True,
        status=PaymentStatus.PENDING,
        pk__gt=planned.lines[-1].payment_id,
    ).aggregate(count=Count("pk"), output_vb=Sum(Length("script_pubkey") + OUTPUT_OVERHEAD_VB))
    rest_sat = plan.fee_ceiling_sat(
        payment_count=rest["count"],
        output_vb=rest["output_vb"] or 0,
        group_max_payments=program.group_max_payments,
        group_max_vsize_vb=program.group_max_vsize_vb,
        terms=terms,
    )
    try:
        _require_caps(disbursement, planned, rest_sat)
    except (caps.FeeOverShare, caps.FeeOverReserve) as refusal:
        message = (
            f"The coins are so small that the list would be paid in parts. {refusal.message} {funding.CURE}"
        )
        raise funding.CoinsTooSmall(message, **refusal.details) from refusal


def claim_change(wallet: Wallet, count: int) -> list[bytes]:
    """Take change scripts for one payout; they are never used again."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_CHANGE, [wallet.pk, count])
        # In the order of their ids, which a statement that changes rows does not promise.
        claimed = [bytes(script) for _, script in sorted(cursor.fetchall())]
    if len(claimed) < count:
        raise WalletNotReady("No change script is in store; the next visit asks the node for more.")
    return claimed


def _assign(payout: Payout, planned: plan.Plan, quote: Quote | None) -> None:
    """Give every payment its output in one statement."""
    ids = [line.payment_id for line in planned.lines]
    statement = ASSIGN if quote is None else ASSIGN_MONEY
    with connection.cursor() as cursor:
        values: dict[str, Any] = {
            "payout": payout.pk,
            "list": payout.disbursement_id,
            "first": ids[0],
            "last": ids[-1],
        }
        values |= {"ids": ids} | ({} if quote is None else _money(planned, quote))
        cursor.execute(statement, values)
        # They are locked by this transaction, so that only a bug could make the counts differ.
        assert cursor.rowcount == len(planned.lines), cursor.rowcount


def _money(planned: plan.Plan, quote: Quote) -> dict[str, list[int]]:
    """Return satoshis and remainders of the lines of a group, in their order."""
    lines = [line.payment_id for line in planned.lines]
    minor = dict(Payment.objects.filter(pk__in=lines).values_list("pk", "amount_minor"))
    sats, terms = [line.amount_sat for line in planned.lines], agreed.rate(quote)
    worth = [conversion.to_minor(amount_sat, *terms) for amount_sat in sats]
    owed = [minor[payment_id] or 0 for payment_id in lines]
    return {"sats": sats, "rests": [amount - value for amount, value in zip(owed, worth, strict=True)]}
