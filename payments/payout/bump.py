"""Bumps a payout's fee: writes a version with the same payments and every old input that pays more (RBF).

The original may still be the one that confirms; books and states follow the one that does. A person's bump and the
engine's own are the same two calls. For a child (``child.py``) the feerate is that of parent and child together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Max

from govpay.errors import Conflict
from payments import doorbell
from payments.models import Payout, PayoutKind, PayoutTx, PayoutTxKind, Reservation, Wallet
from payments.models.wallet import Signer
from payments.onchain import fee, node, tx
from payments.payout import caps, coins, failpoint, feerate, guard, lease, rbf, rivals, seal, versions
from payments.states import PAYOUT_OPEN, PayoutStatus

S = PayoutStatus
BUMPABLE = (S.COMMITTED, S.SIGNED, S.SENT)
# What else belongs to the database transaction that writes a version.
Then = Callable[[PayoutTx], None]


class PayoutNotBumpable(Conflict):
    """The payout is not in a state in which a higher fee helps, or is of a kind that is never bumped."""

    code = "payout_not_bumpable"


class VersionPending(Conflict):
    """The newest version is still with its signers; a newer one would make their work void."""

    code = "version_pending"


class PayoutHasChild(Conflict):
    """A child already pays for this payout; raise the child's fee instead."""

    code = "payout_has_child"


class BumpTooLow(Conflict):
    """Nodes replace a tx only for a higher fee than this."""

    code = "bump_too_low"


@dataclass(frozen=True)
class Seen:
    """What the node said before the database transaction: what to beat, and the version whose inputs are kept."""

    look: rivals.Look
    base: PayoutTx


@dataclass(frozen=True)
class Proposal:
    """A bump before it is written, the newest version, and what is kept of the one that can confirm."""

    old: PayoutTx
    before: rbf.Old
    after: rbf.Replacement

    @property
    def added_sat(self) -> int:
        """What it costs more than the newest version."""
        return self.after.fee_sat - self.old.fee_sat


def preview(
    payout_id: int, feerate_sat_kvb: int, client: node.Node, *, over_pending: bool = False
) -> dict[str, Any]:
    """Return what a bump to this feerate would change, in figures; nothing is written.

    Call it outside database transactions. Raises every refusal that ``build`` raises.
    """
    payout = read(payout_id)
    seen = _look(payout, client)
    proposal = propose(payout, feerate_sat_kvb, seen, over_pending=over_pending)
    program = payout.wallet.program
    old, after = proposal.old, proposal.after
    return {
        "old_txid": old.txid,
        "old_fee_sat": old.fee_sat,
        "old_vsize_vb": old.vsize_vb,
        "old_feerate_sat_kvb": old.feerate_sat_kvb,
        "old_change_sat": old.change_sat,
        "new_fee_sat": after.fee_sat,
        "new_vsize_vb": after.vsize_vb,
        "new_feerate_sat_kvb": after.fee_sat * 1000 // after.vsize_vb,
        "new_change_sat": sum(output.amount_sat for output in after.change),
        "fee_added_sat": proposal.added_sat,
        "added_inputs": describe_coins(after),
        "evicted_fee_sat": seen.look.outbid.fee_sat,
        "needs_second_person": proposal.added_sat > program.bump_alone_limit_sat,
    }


def build(
    payout_id: int,
    feerate_sat_kvb: int,
    client: node.Node,
    *,
    over_pending: bool = False,
    then: Then | None = None,
) -> PayoutTx:
    """Write the bump as the payout's current version, to be signed and sent by the engine, and return it.

    It takes the payout's lease itself; call it outside database transactions. ``over_pending`` replaces a version that
    signers elsewhere have not signed yet. ``then`` is called with the version before the commit, and what it raises takes
    all of it back. Raises EngineStopped, WalletHalted, FeerateRefused, PayoutNotBumpable,
    VersionPending, PayoutHasChild, BumpTooLow, TooManyReplaced, PayoutBusy, InsufficientCoins, and the caps FeeOverShare,
    FeeOverBudget, FeeOverReserve; nothing is written then.
    """
    with lease.held(payout_id) as token:
        payout = read(payout_id)
        seen = _look(payout, client)
        seal.refill_change(payout.wallet, client)
        with transaction.atomic():
            Wallet.objects.lock().get(pk=payout.wallet_id)
            lease.lock(payout_id, token)
            payout = read(payout_id)
            proposal = propose(payout, feerate_sat_kvb, seen, over_pending=over_pending)
            version = _write(payout, proposal)
            if then is not None:
                then(version)
        failpoint.hit("K14")
    return version


def propose(payout: Payout, feerate_sat_kvb: int, seen: Seen, *, over_pending: bool) -> Proposal:
    """Return the bump, after every rule was checked. Reads only; hold the wallet's row to act on the answer."""
    program = payout.wallet.program
    guard.require_wallet_runs(payout.wallet)
    _require_bumpable(payout, seen.look, over_pending=over_pending)
    feerate.require_bounds(program, feerate_sat_kvb)
    old = payout.current
    assert old is not None
    parent = parent_version(payout)
    before = versions.old_of(seen.base)
    after = rbf.build(
        before,
        coins.free(payout.wallet, 1, feerate_sat_kvb=feerate_sat_kvb),
        asked=asked(parent, feerate_sat_kvb),
        least=seen.look.outbid.least_sat,
        input_weight=payout.wallet.input_weight,
        spare_script=spare_script(payout.wallet),
    )
    _require_enough(after, parent, feerate_sat_kvb)
    pays_for = payout if payout.parent is None else payout.parent
    caps.require(
        program,
        pays_for.disbursement,
        payments_sat=pays_for.payments_sat,
        fee_sat=after.fee_sat + (parent.fee_sat if parent else 0),
        added_sat=after.fee_sat - old.fee_sat,
    )
    return Proposal(old, before, after)


def spare_script(wallet: Wallet) -> bytes:
    """Return a placeholder as long as the wallet's change scripts; a real one is claimed when it is needed."""
    return bytes(wallet.change_weight // fee.WITNESS_SCALE - 9)


def live_child(payout: Payout) -> Payout | None:
    """Return the child that pays for the payout now, if one does."""
    return Payout.objects.filter(parent=payout, status__in=(S.SEALED, *PAYOUT_OPEN)).order_by("-pk").first()


def read(payout_id: int) -> Payout:
    """Return the payout with all that its fees depend on."""
    related = ("wallet__program", "disbursement", "current", "parent__disbursement")
    return Payout.objects.select_related(*related).get(pk=payout_id)


def _look(payout: Payout, client: node.Node) -> Seen:
    """Look at what spends any of its coins, and at all of its versions: those that signers elsewhere have, too."""
    reserved = Reservation.objects.filter(payout=payout).values_list("txid", "vout")
    outpoints = [tx.OutPoint(txid, vout) for txid, vout in reserved]
    look = rivals.look(outpoints, PayoutTx.objects.filter(payout=payout), client)
    return Seen(look, versions.standing(payout, client))


def describe_coins(after: rbf.Replacement) -> list[dict[str, Any]]:
    """Return the added coins as a preview shows them."""
    return [
        {"txid": coin.outpoint.txid, "vout": coin.outpoint.vout, "amount_sat": coin.amount_sat}
        for coin in after.added
    ]


def require_open(payout: Payout) -> None:
    """Raise PayoutNotBumpable unless a higher fee can still help: it is past the commit point and in no block."""
    where = "mined" if payout.mined_txid is not None else payout.status
    if where not in BUMPABLE:
        raise PayoutNotBumpable(
            f"Payout {payout.pk} is {where}; only one that is {', '.join(BUMPABLE)} can be bumped.",
            status=where,
        )


def _require_bumpable(payout: Payout, look: rivals.Look, *, over_pending: bool) -> None:
    if payout.kind == PayoutKind.CONSOLIDATION:
        raise PayoutNotBumpable("A consolidation waits for low fees; it is never bumped.", kind=payout.kind)
    require_open(payout)
    assert payout.current is not None
    if payout.wallet.signer == Signer.PSBT and payout.current.raw is None and not over_pending:
        raise VersionPending(
            "The newest version still waits for its signers; ask for a bump over it, or wait.",
            txid=payout.current.txid,
        )
    child = live_child(payout)
    # A child whose parent the node forgot pays for nothing any more.
    if child is not None and child.anchor_txid in look.spenders:
        raise PayoutHasChild(
            f"Payout {child.pk} already pays for this one with its change; raise its fee instead.",
            child_id=child.pk,
        )


def parent_version(payout: Payout) -> PayoutTx | None:
    """Return the version of the parent that the child pays for; None for other payouts, and once a block holds it."""
    if payout.parent is None:
        return None
    mined = payout.parent.mined_txid
    if mined == payout.anchor_txid:
        return None
    if mined is not None:
        raise PayoutNotBumpable(
            "The parent confirmed as another version; this child can never confirm.", status=payout.status
        )
    if payout.parent.status in (S.VOIDING, S.VOIDED):
        raise PayoutNotBumpable(
            f"The parent is {payout.parent.status}: its child would fight its void.", status=payout.status
        )
    return PayoutTx.objects.get(payout=payout.parent, txid=payout.anchor_txid)


def asked(parent: PayoutTx | None, feerate_sat_kvb: int) -> rbf.Price:
    """Return the fee that the feerate asks of a weight; with a parent, of both together less what the parent pays."""
    if parent is None:
        return lambda weight: fee.fee_sat(weight=weight, feerate_sat_kvb=feerate_sat_kvb)
    size, paid = parent.vsize_vb * fee.WITNESS_SCALE, parent.fee_sat
    return lambda weight: fee.fee_sat(weight=weight + size, feerate_sat_kvb=feerate_sat_kvb) - paid


def _require_enough(after: rbf.Replacement, parent: PayoutTx | None, feerate_sat_kvb: int) -> None:
    if after.asked_sat >= after.least_sat:
        return
    size = after.vsize_vb + (parent.vsize_vb if parent else 0)
    least = -(-(after.least_sat + (parent.fee_sat if parent else 0)) * 1000 // size)
    raise BumpTooLow(
        f"{feerate.text(feerate_sat_kvb)} is too low: to replace what is out there takes {after.least_sat:,} sat, "
        f"{feerate.text(least)}.",
        feerate_sat_kvb=feerate_sat_kvb,
        least_feerate_sat_kvb=least,
        least_fee_sat=after.least_sat,
    )


def _write(payout: Payout, proposal: Proposal) -> PayoutTx:
    before, after = proposal.before, proposal.after
    spare = spare_script(payout.wallet)
    if any(output.script_pubkey == spare for output in after.change):
        (script,) = seal.claim_change(payout.wallet, 1)
        after = rbf.with_script(after, spare, script)
    last = Reservation.objects.filter(payout=payout).aggregate(last=Max("position"))["last"]
    versions.reserve(payout, versions.inputs_from(after.added), first_position=last + 1)
    version = versions.add(
        payout,
        versions.Draft(
            kind=PayoutTxKind.BUMP,
            inputs=[*before.inputs, *(coin.outpoint for coin in after.added)],
            payments=before.payments,
            change=after.change,
            fee_sat=after.fee_sat,
            weight=after.weight,
        ),
    )
    # It is due some blocks after a node took it; until then no other bump follows by itself.
    Payout.objects.filter(pk=payout.pk).update(
        sent_height=None, due_at=None, attempts=0, offers=0, problem=""
    )
    doorbell.ring("advance", payout_id=payout.pk)
    return version
