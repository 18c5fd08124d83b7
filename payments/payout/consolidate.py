"""Merges a wallet's small coins into one while fees are low: a payout without payments, inside a budget of its own.

It goes the way of every payout, and the books know it as a fee. It may not disturb: nothing is merged while a released
list waits, but for one whose next payments lie in too many coins for one payout. Those are then merged for it.
"""

from datetime import timedelta

from django.db import connection, transaction
from django.db.models.functions import Now

from govpay.errors import GovPayError
from payments.models import Payment, Payout, PayoutKind, PayoutTxKind, Program, Rail, Wallet
from payments.onchain import fee, tx
from payments.payout import agreed, coins, funding, guard, plan, seal, versions
from payments.payout.feerate import text
from payments.payout.selection import FreeCoin
from payments.selectors import funds
from payments.states import PAYOUT_OPEN, DisbursementStatus, PaymentStatus, PayoutStatus

# How often a wallet's small coins are looked at.
EVERY_S = 600
# Fewer are not worth a tx of their own.
LEAST_MERGED = 10
# A tx of 34 kvB at most: signers and memory pools have room for it.
MOST_MERGED = 500
# A coin is worth merging when at most this part of it goes to the fee of its input.
WORTH = 10
# A coin is small while its input would, at the program's ceiling, cost more than this part of it.
SMALL = 100

# On the database's clock, the one that all workers share.
SPENT_TODAY = """
SELECT coalesce(sum(t.fee_added_sat), 0) FROM payments_payouttx t JOIN payments_payout p ON p.id = t.payout_id
WHERE p.wallet_id = %s AND p.kind = 'consolidation' AND p.status <> 'unsealed'
AND t.built_at >= date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
"""


class ConsolidationWaits(GovPayError):
    """Small coins are not merged now; the message and ``rule`` say why."""

    code = "consolidation_waits"
    http_status = 409
    is_transient = True


def put_off(wallet_id: int, problem: str) -> None:
    """Note why nothing was merged, empty when nothing is wrong, and when to look again."""
    later = Now() + timedelta(seconds=EVERY_S)
    Wallet.objects.filter(pk=wallet_id).update(consolidate_due_at=later, consolidate_problem=problem[:300])


@transaction.atomic
def build(wallet_id: int, *, feerate_sat_kvb: int) -> int | None:
    """Seal a consolidation at this feerate and return the payout's id; None when there is too little to merge.

    Raises ConsolidationWaits with the rule that forbids it (feerate, in_flight, lists, budget, funds), and
    guard.EngineStopped and guard.WalletHalted. Nothing is sealed then.
    """
    wallet = Wallet.objects.lock().select_related("program").get(pk=wallet_id)
    guard.require_wallet_runs(wallet)
    _require_feerate(wallet.program, feerate_sat_kvb)
    _require_alone(wallet)
    small = _small_coins(wallet, feerate_sat_kvb)
    if len(small) < LEAST_MERGED:
        return None
    merged = small[: _affordable(wallet, feerate_sat_kvb)]
    weight = _weight(wallet, len(merged))
    fee_sat = fee.fee_sat(weight=weight, feerate_sat_kvb=feerate_sat_kvb)
    _require_funds(wallet, fee_sat)
    return _seal(wallet, merged, fee_sat, weight)


def _require_feerate(program: Program, feerate_sat_kvb: int) -> None:
    most = program.consolidate_feerate_sat_kvb
    if most is None:
        raise ConsolidationWaits(
            "The program has no fee rate up to which coins may be merged.", rule="feerate"
        )
    if feerate_sat_kvb > most:
        raise ConsolidationWaits(
            f"The network asks for {text(feerate_sat_kvb)}; coins are merged up to {text(most)}.",
            rule="feerate",
            feerate_sat_kvb=feerate_sat_kvb,
            most_sat_kvb=most,
        )


def _require_alone(wallet: Wallet) -> None:
    in_flight = Payout.objects.filter(
        wallet=wallet,
        kind=PayoutKind.CONSOLIDATION,
        mined_txid=None,
        status__in=[PayoutStatus.SEALED, *PAYOUT_OPEN],
    ).first()
    if in_flight is not None:
        raise ConsolidationWaits(
            f"Payout {in_flight.pk} merges coins already.", rule="in_flight", payout_id=in_flight.pk
        )


def _small_coins(wallet: Wallet, feerate_sat_kvb: int) -> list[FreeCoin]:
    """Return the coins to merge: small ones but for those that payouts want, or what a list that is stuck needs."""
    least_sat = WORTH * fee.fee_sat(weight=wallet.input_weight, feerate_sat_kvb=feerate_sat_kvb)
    waiting = _waiting_lines(wallet)
    if not waiting:
        below_sat = SMALL * coins.least_deposit_sat(wallet)
        found = coins.by_size(wallet, least_sat=least_sat, below_sat=below_sat, most=MOST_MERGED)
        keep = max(wallet.program.coins_wanted - 1 - coins.count_larger(wallet, found), 0)
        return found[: len(found) - keep]
    if not funding.is_scattered(wallet, waiting, coins.terms(wallet, feerate_sat_kvb)):
        raise ConsolidationWaits("A released list still needs the wallet's coins.", rule="lists")
    return coins.by_size(wallet, least_sat=least_sat, most=MOST_MERGED, largest_first=True)


def _waiting_lines(wallet: Wallet) -> list[plan.Line]:
    """Return the group that a released list has still to pay first."""
    rows = Payment.objects.filter(
        disbursement__program=wallet.program_id,
        disbursement__status=DisbursementStatus.RELEASED,
        disbursement__rail=Rail.BITCOIN,
        payout__isnull=True,
        sent_at__isnull=True,
        status=PaymentStatus.PENDING,
    ).order_by("disbursement", "pk")
    found = rows.select_related("disbursement__quote")[: wallet.program.group_max_payments]
    return [
        plan.Line(row.pk, bytes(row.script_pubkey or b""), agreed.satoshis(row.disbursement, [row.amount])[0])
        for row in found
    ]


def _affordable(wallet: Wallet, feerate_sat_kvb: int) -> int:
    """Return how many inputs today's budget still pays for; raise ConsolidationWaits when too few."""
    with connection.cursor() as cursor:
        cursor.execute(SPENT_TODAY, [wallet.pk])
        spent_sat = int(cursor.fetchone()[0])
    budget_sat = wallet.program.consolidate_budget_daily_sat
    # Four weight units a virtual byte, and one vB for rounding.
    left_weight = max(budget_sat - spent_sat, 0) * 4_000 // feerate_sat_kvb - 4
    count = (left_weight - _weight(wallet, 0) - 8) // wallet.input_weight
    if count < LEAST_MERGED:
        raise ConsolidationWaits(
            f"{spent_sat} of the {budget_sat} sat that merging coins may cost a day (UTC) are spent; the rest does not"
            f" pay for {LEAST_MERGED} coins.",
            rule="budget",
            spent_sat=spent_sat,
            budget_sat=budget_sat,
        )
    return count


def _weight(wallet: Wallet, input_count: int) -> int:
    return fee.overhead_weight(input_count, 1) + input_count * wallet.input_weight + wallet.change_weight


def _require_funds(wallet: Wallet, fee_sat: int) -> None:
    """Leave alone what approved lists were promised."""
    available_sat = funds.hold(wallet.program_id).available_sat
    if available_sat < fee_sat:
        raise ConsolidationWaits(
            f"Merging costs {fee_sat} sat, and {max(available_sat, 0)} sat are not set aside for lists.",
            rule="funds",
            fee_sat=fee_sat,
            available_sat=available_sat,
        )


def _seal(wallet: Wallet, merged: list[FreeCoin], fee_sat: int, weight: int) -> int:
    (script,) = seal.claim_change(wallet, 1)
    amount_sat = sum(coin.amount_sat for coin in merged) - fee_sat
    anchor = merged[0].outpoint
    payout = Payout(
        kind=PayoutKind.CONSOLIDATION,
        wallet=wallet,
        payment_count=0,
        payments_sat=0,
        manifest_hash=seal.manifest_hash(()),
        anchor_txid=anchor.txid,
        anchor_vout=anchor.vout,
    )
    draft = versions.Draft(
        kind=PayoutTxKind.ORIGINAL,
        inputs=[coin.outpoint for coin in merged],
        payments=[],
        change=[tx.Output(amount_sat, script)],
        fee_sat=fee_sat,
        weight=weight,
    )
    versions.begin(payout, versions.inputs_from(merged), draft, reason="small coins are merged")
    return int(payout.pk)
