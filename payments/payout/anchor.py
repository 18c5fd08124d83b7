"""Anchors checkpoints of the books: a payout without payments whose one output besides change holds a checkpoint's hash.

It goes the way of every payout, and the books know it as a fee. A checkpoint has one anchor: its bytes are sent until a
block holds them, and again after a reorganization. Only once it is void is it repeated, by one other payout; should a
reorganization of 100 blocks bring the void one back, the checkpoint is in the chain twice, which harms nobody.
"""

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from govpay.errors import GovPayError
from ledger.models import Checkpoint
from ledger.seals import checkpoints
from payments.models import (
    Coin,
    Disbursement,
    InclusionProof,
    Payment,
    Payout,
    PayoutKind,
    PayoutTx,
    PayoutTxKind,
    Rail,
    Wallet,
)
from payments.onchain import fee, tx
from payments.payout import caps, coins, guard, proofs, seal, selection, versions
from payments.payout.selection import FreeCoin
from payments.selectors import funds
from payments.states import DisbursementStatus, PaymentStatus, PayoutStatus

# So many seconds lie between two anchors, and after a reason to wait that lasts.
EVERY_S = 600


class AnchorWaits(GovPayError):
    """The checkpoint is not anchored now; the message and ``rule`` say why."""

    code = "anchor_waits"
    http_status = 409
    is_transient = True


def wallet() -> Wallet | None:
    """Return the wallet that pays for anchors, if the settings name a program that has one with coins."""
    if not settings.GOVPAY_ANCHOR_PROGRAM:
        return None
    rows = Wallet.objects.select_related("program").filter(program__code=settings.GOVPAY_ANCHOR_PROGRAM)
    has_coins = Exists(Coin.objects.filter(wallet=OuterRef("pk"), spent_by_txid=None))
    return rows.filter(has_coins, ready_at__isnull=False, halted_at=None).first()


def next_checkpoint() -> Checkpoint | None:
    """Return the newest checkpoint, unless an anchor of it stands; it covers all that were missed before it."""
    newest = Checkpoint.objects.order_by("-seal__size").first()
    return None if newest is None or _is_anchored(newest.pk) else newest


def script_of(checkpoint: Checkpoint) -> bytes:
    """Return the script of the output that commits to a checkpoint: OP_RETURN and the SHA-256 of its note."""
    return tx.null_data(checkpoints.digest(checkpoint))


@transaction.atomic
def build(checkpoint_id: int, wallet_id: int, *, feerate_sat_kvb: int) -> int | None:
    """Seal the anchor of a checkpoint and return the payout's id; None when it has one already.

    Raises AnchorWaits with the rule that forbids it (lists, funds), selection.InsufficientCoins, caps.FeeOverBudget,
    guard.EngineStopped and guard.WalletHalted. Nothing is sealed then.
    """
    paying = Wallet.objects.lock().select_related("program").get(pk=wallet_id)
    guard.require_wallet_runs(paying)
    if _is_anchored(checkpoint_id):
        return None
    script = script_of(Checkpoint.objects.get(pk=checkpoint_id))
    offered = coins.free(paying, 0, feerate_sat_kvb=feerate_sat_kvb)
    bill = selection.Bill(need_sat=0, output_count=1, outputs_weight=fee.output_weight(script))
    found = selection.choose(bill, offered, coins.terms(paying, feerate_sat_kvb))
    _require_coins_for_lists(paying, offered, found)
    caps.require_budget(paying.program, found.fee_sat)
    _require_funds(paying, found.fee_sat)
    anchor = found.coins[0].outpoint
    payout = Payout(
        kind=PayoutKind.ANCHOR,
        checkpoint_id=checkpoint_id,
        repeats=_anchors(checkpoint_id).order_by("pk").last(),
        wallet=paying,
        payment_count=0,
        payments_sat=0,
        manifest_hash=seal.manifest_hash(()),
        anchor_txid=anchor.txid,
        anchor_vout=anchor.vout,
    )
    change = [
        tx.Output(found.change_sat, own) for own in seal.claim_change(paying, 1 if found.change_sat else 0)
    ]
    draft = versions.Draft(
        kind=PayoutTxKind.ORIGINAL,
        inputs=[coin.outpoint for coin in found.coins],
        payments=[tx.Output(0, script)],
        change=change,
        fee_sat=found.fee_sat,
        weight=found.weight,
    )
    versions.begin(payout, versions.inputs_from(found.coins), draft, reason="a checkpoint is anchored")
    return int(payout.pk)


def proof_of(checkpoint: Checkpoint) -> tuple[InclusionProof, PayoutTx] | None:
    """Return a checkpoint's place in the chain, and the tx; None until its anchor is final and its place kept."""
    payout = _anchors(checkpoint.pk).filter(status=PayoutStatus.SETTLED).first()
    proof = None if payout is None else proofs.of(payout)
    return None if proof is None else (proof, PayoutTx.objects.get(payout=payout, txid=proof.txid))


def _anchors(checkpoint_id: int) -> QuerySet[Payout]:
    return Payout.objects.filter(checkpoint=checkpoint_id).exclude(status=PayoutStatus.UNSEALED)


def _is_anchored(checkpoint_id: int) -> bool:
    return _anchors(checkpoint_id).exclude(status=PayoutStatus.VOIDED).exists()


def _require_coins_for_lists(paying: Wallet, offered: list[FreeCoin], found: selection.Funding) -> None:
    """Leave a released list the wallet's last free coins: it would wait for the anchor's block."""
    if len(found.coins) < len(offered):
        return
    unsealed = Payment.objects.filter(
        disbursement=OuterRef("pk"), payout__isnull=True, sent_at=None, status=PaymentStatus.PENDING
    )
    waiting = Disbursement.objects.filter(
        Exists(unsealed), program=paying.program_id, rail=Rail.BITCOIN, status=DisbursementStatus.RELEASED
    )
    if waiting.exists():
        raise AnchorWaits("A released list needs the wallet's last coins.", rule="lists")


def _require_funds(paying: Wallet, fee_sat: int) -> None:
    """Leave alone what approved lists were promised."""
    available_sat = funds.hold(paying.program_id).available_sat
    if available_sat < fee_sat:
        raise AnchorWaits(
            f"An anchor costs {fee_sat} sat, and {max(available_sat, 0)} sat are not set aside for lists.",
            rule="funds",
            fee_sat=fee_sat,
            available_sat=available_sat,
        )
