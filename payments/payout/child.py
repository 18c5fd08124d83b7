"""Builds a child: a payout without payments that spends a stuck payout's change, so that both confirm (CPFP).

It is the way out where a replacement is impossible or dearer, such as when a payee hangs txs on the payout (pinning).
The child follows the protocol of every payout: reserved, committed, signed, kept, sent, followed, booked (its fee).
"""

from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction

from govpay.errors import Conflict
from payments import doorbell
from payments.models import Payout, PayoutKind, PayoutTx, PayoutTxKind, Reservation, Wallet, history
from payments.onchain import fee, node, tx
from payments.payout import (
    bump,
    caps,
    coins,
    failpoint,
    feerate,
    guard,
    lease,
    rbf,
    seal,
    selection,
    versions,
)


class NoChangeToSpend(Conflict):
    """No version of the payout in the node's memory pool has change that a child could spend."""

    code = "no_change_to_spend"


class ChildNotNeeded(Conflict):
    """The payout pays this feerate already, by itself."""

    code = "child_not_needed"


@dataclass(frozen=True)
class Parent:
    """The version of the payout that the node's memory pool holds, its change, and the least feerate taken there."""

    version: PayoutTx
    coins: tuple[versions.Input, ...]
    mempool_min_sat_kvb: int


@dataclass(frozen=True)
class Proposal:
    """A child before it is written: what of the parent it spends, coins added to that, its output, fee and weight."""

    spent: tuple[versions.Input, ...]
    after: rbf.Replacement


def preview(payout_id: int, feerate_sat_kvb: int, client: node.Node) -> dict[str, Any]:
    """Return what a child that lifts the payout to this feerate would cost, in figures; nothing is written.

    Where a child is out there already, it is the preview of that child's bump. Call it outside database transactions.
    Raises every refusal that ``build`` raises.
    """
    payout = bump.read(payout_id)
    child = bump.live_child(payout)
    if child is not None:
        return bump.preview(child.pk, feerate_sat_kvb, client) | {"child_id": child.pk}
    parent = _look(payout, client)
    after = propose(payout, feerate_sat_kvb, parent).after
    old = parent.version
    both_sat, both_vb = old.fee_sat + after.fee_sat, old.vsize_vb + after.vsize_vb
    return {
        "old_txid": old.txid,
        "old_fee_sat": old.fee_sat,
        "old_vsize_vb": old.vsize_vb,
        "old_feerate_sat_kvb": old.feerate_sat_kvb,
        "old_change_sat": old.change_sat,
        "new_fee_sat": both_sat,
        "new_vsize_vb": both_vb,
        "new_feerate_sat_kvb": both_sat * 1000 // both_vb,
        "new_change_sat": sum(output.amount_sat for output in after.change),
        "fee_added_sat": after.fee_sat,
        "added_inputs": bump.describe_coins(after),
        "child_id": None,
        "needs_second_person": after.fee_sat > payout.wallet.program.bump_alone_limit_sat,
    }


def build(
    payout_id: int, feerate_sat_kvb: int, client: node.Node, *, then: bump.Then | None = None
) -> PayoutTx:
    """Write a child that lifts this payout and itself to the feerate, or bump the child that there is; return its version.

    It takes the lease of the payout (or child) itself; call it outside database transactions; ``then`` is as in
    ``bump.build``. Raises EngineStopped, WalletHalted, FeerateRefused, PayoutNotBumpable, VersionPending,
    NoChangeToSpend, ChildNotNeeded, PayoutBusy, InsufficientCoins, and the caps FeeOverShare, FeeOverBudget,
    FeeOverReserve; for a child that is bumped, what ``bump.build`` raises. Nothing is written then.
    """
    payout = bump.read(payout_id)
    child = bump.live_child(payout)
    if child is not None:
        return bump.build(child.pk, feerate_sat_kvb, client, then=then)
    with lease.held(payout_id) as token:
        parent = _look(payout, client)
        seal.refill_change(payout.wallet, client)
        with transaction.atomic():
            Wallet.objects.lock().get(pk=payout.wallet_id)
            lease.lock(payout_id, token)
            payout = bump.read(payout_id)
            proposal = propose(payout, feerate_sat_kvb, parent)
            version = _write(payout, proposal)
            if then is not None:
                then(version)
        failpoint.hit("K14")
    return version


def propose(payout: Payout, feerate_sat_kvb: int, parent: Parent) -> Proposal:
    """Return the child, after every rule was checked. Reads only; hold the wallet's row to act on the answer."""
    program = payout.wallet.program
    guard.require_wallet_runs(payout.wallet)
    _require_parent(payout, parent)
    feerate.require_bounds(program, feerate_sat_kvb)
    parent = _without_reserved(parent)
    proposal = _fund(payout, feerate_sat_kvb, parent)
    caps.require(
        program,
        payout.disbursement,
        payments_sat=payout.payments_sat,
        fee_sat=parent.version.fee_sat + proposal.after.fee_sat,
        added_sat=proposal.after.fee_sat,
    )
    return proposal


def _fund(payout: Payout, feerate_sat_kvb: int, parent: Parent) -> Proposal:
    """Spend the largest change outputs, as many as the fee needs, and only then one more confirmed coin."""
    asked = bump.asked(parent.version, feerate_sat_kvb)
    wallet = payout.wallet
    spare = tx.Output(0, bump.spare_script(wallet))
    floor = parent.mempool_min_sat_kvb
    free = sorted(
        coins.free(wallet, 1, feerate_sat_kvb=feerate_sat_kvb),
        key=lambda coin: (coin.amount_sat, coin.outpoint),
    )
    tries: list[tuple[int, tuple[selection.FreeCoin, ...]]] = [
        *((count, ()) for count in range(1, len(parent.coins) + 1)),
        *((len(parent.coins), (coin,)) for coin in free),
    ]
    for count, added in tries:
        spent = parent.coins[:count]
        old = rbf.Old(
            inputs=tuple(found.outpoint for found in spent),
            inputs_sat=sum(found.output.amount_sat for found in spent),
            payments=(),
            change=(),
        )
        after = rbf.balance(
            old,
            added,
            (spare,),
            asked,
            lambda weight: fee.fee_sat(weight=weight, feerate_sat_kvb=floor),
            wallet.input_weight,
        )
        if after is not None:
            if after.asked_sat <= 0:
                raise ChildNotNeeded(
                    f"The payout pays {feerate.text(parent.version.feerate_sat_kvb)} by itself.",
                    feerate_sat_kvb=parent.version.feerate_sat_kvb,
                )
            return Proposal(spent, after)
    raise selection.InsufficientCoins(
        "Neither the payout's change nor a confirmed coin can carry the child's fee."
    )


def _require_parent(payout: Payout, parent: Parent) -> None:
    if payout.kind != PayoutKind.PAYMENTS:
        raise bump.PayoutNotBumpable(
            "Only a payout that pays people gets a child; raise the fee of this one itself.", kind=payout.kind
        )
    bump.require_open(payout)
    current = payout.current
    assert current is not None
    if current.raw is None or (current != parent.version and payout.sent_height is None):
        # A newer version is on its way to the node and would evict the child with its parent.
        raise bump.VersionPending(
            "A newer version of the payout is being signed or sent; wait for it.", txid=current.txid
        )


def _look(payout: Payout, client: node.Node) -> Parent:
    """Find the version of ours that the node's memory pool holds, and those of its change outputs that nobody spends."""
    anchor = tx.OutPoint(payout.anchor_txid, payout.anchor_vout)
    txid = client.mempool_spender([anchor])
    paying = PayoutTx.objects.filter(payout=payout, raw__isnull=False).exclude(kind=PayoutTxKind.VOID)
    version = None if txid is None else paying.filter(txid=txid).first()
    if version is None:
        raise NoChangeToSpend(
            "The node's memory pool holds no version of this payout that a child could pay for."
        )
    found = [
        versions.Input(
            tx.OutPoint(version.txid, change.vout), tx.Output(change.amount_sat, bytes(change.script_pubkey))
        )
        for change in version.change.order_by("-amount_sat", "vout")
    ]
    coins = tuple(coin for coin in found if client.utxo(coin.outpoint, include_mempool=True) is not None)
    if not coins:
        raise NoChangeToSpend("This payout has no change that a child could spend.", txid=version.txid)
    return Parent(version, coins, client.mempool_min_feerate_sat_kvb())


def _without_reserved(parent: Parent) -> Parent:
    """Leave out change that another payout reserved in a block which a reorganization has taken away since."""
    reserved = set(
        Reservation.objects.filter(txid=parent.version.txid, is_live=True).values_list("vout", flat=True)
    )
    coins = tuple(coin for coin in parent.coins if coin.outpoint.vout not in reserved)
    if not coins:
        raise NoChangeToSpend("Another payout has reserved the change of this one.", txid=parent.version.txid)
    return replace(parent, coins=coins)


def _write(payout: Payout, proposal: Proposal) -> PayoutTx:
    (script,) = seal.claim_change(payout.wallet, 1)
    after = rbf.with_script(proposal.after, bump.spare_script(payout.wallet), script)
    inputs = [*proposal.spent, *versions.inputs_from(after.added)]
    anchor = inputs[0].outpoint
    child = Payout.objects.create(
        kind=PayoutKind.CHILD,
        parent=payout,
        wallet=payout.wallet,
        payment_count=0,
        payments_sat=0,
        manifest_hash=seal.manifest_hash(()),
        anchor_txid=anchor.txid,
        anchor_vout=anchor.vout,
    )
    history.begin(child, reason=f"a fee for payout {payout.pk}")
    versions.reserve(child, inputs)
    version = versions.add(
        child,
        versions.Draft(
            kind=PayoutTxKind.ORIGINAL,
            inputs=[spent.outpoint for spent in inputs],
            payments=[],
            change=after.change,
            fee_sat=after.fee_sat,
            weight=after.weight,
        ),
    )
    doorbell.ring("advance", payout_id=child.pk)
    return version
