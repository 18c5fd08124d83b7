"""Voids: plans and writes a tx that takes a payout's anchor back to ourselves, so that nothing else of it confirms.

A void shares the anchor with every version that pays, so at most one of them can ever confirm; the others stay valid
until it is buried. It must drive what it gives up out of the memory pools, by the rules of BIP125: an absolute fee of
all that is replaced and of all that hangs on it, and its own relay on top; and a higher feerate.

Its fee has a cap of its own: what the payout itself might have cost at the program's ceiling, and never more than what
is left of the fees that the list's approver agreed to. The ceiling by feerate cannot bind it: it is small, and has to
outbid the absolute fee of a tx that may be large. Nor does the share of what is paid, because it pays nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q, Sum

from govpay.errors import Conflict
from payments.models import Payout, PayoutTx, PayoutTxKind, Reservation
from payments.onchain import fee, node, tx
from payments.payout import rbf, rivals, seal, selection, versions
from payments.states import PayoutStatus

S = PayoutStatus
# From sealed there is a better way, and what a block holds must first be taken away by a reorganization.
VOIDABLE = (S.COMMITTED, S.SIGNED, S.SENT, S.FROZEN, S.VOIDING)


class NotVoidable(Conflict):
    """The payout is not in a state in which it can be given up."""

    code = "not_voidable"


class VoidTooDear(Conflict):
    """Taking the anchor back would cost more than its cap, or more than the coins are worth."""

    code = "void_too_dear"


@dataclass(frozen=True)
class Plan:
    """A void before it is written: what it spends, what it costs, what comes back, its weight once signed."""

    inputs: tuple[versions.Input, ...]
    fee_sat: int
    back_sat: int
    weight: int

    @property
    def vsize_vb(self) -> int:
        """Its virtual bytes, signed."""
        return fee.vsize(self.weight)


def plan(
    inputs: Sequence[versions.Input],
    *,
    outbid: rbf.Outbid,
    feerate_sat_kvb: int,
    cap_sat: int,
    input_weight: int,
    change_weight: int,
) -> Plan:
    """Return the void that spends the anchor, the first of ``inputs``, and further ones only when the fee needs them.

    Raises VoidTooDear when the fee is above ``cap_sat``, or leaves nothing that is worth an output.
    """
    needed_sat = 0
    for count in range(1, len(inputs) + 1):
        weight = fee.overhead_weight(count, 1) + count * input_weight + change_weight
        asked_sat = fee.fee_sat(weight=weight, feerate_sat_kvb=feerate_sat_kvb)
        needed_sat = max(asked_sat, outbid.least_sat(weight))
        if needed_sat > cap_sat:
            break
        back_sat = sum(spent.output.amount_sat for spent in inputs[:count]) - needed_sat
        if back_sat >= selection.CHANGE_MIN_SAT:
            return Plan(tuple(inputs[:count]), needed_sat, back_sat, weight)
    raise _too_dear(needed_sat, cap_sat, sum(spent.output.amount_sat for spent in inputs))


def prepare(payout_id: int, feerate_sat_kvb: int, client: node.Node) -> Plan:
    """Look at memory pool and chain, and return the void that would do now; writes nothing but change scripts.

    Call it outside any database transaction. Raises NotVoidable, VoidTooDear, TooManyReplaced, NodeError.
    """
    payout = Payout.objects.select_related("wallet__program", "disbursement").get(pk=payout_id)
    _require_voidable(payout)
    seal.refill_change(payout.wallet, client)
    inputs = _originals(payout)
    anchor = inputs[0].outpoint
    if client.utxo(anchor, include_mempool=False) is None:
        raise NotVoidable(
            f"The anchor {anchor} is not unspent in a block now: it is spent already, or its own block was taken away.",
            rule="anchor_gone",
        )
    signed = PayoutTx.objects.filter(payout=payout, raw__isnull=False)
    return plan(
        inputs,
        outbid=rivals.look([spent.outpoint for spent in inputs], signed, client).outbid,
        feerate_sat_kvb=feerate_sat_kvb,
        cap_sat=cap_sat(payout),
        input_weight=payout.wallet.input_weight,
        change_weight=payout.wallet.change_weight,
    )


def preview(payout_id: int, feerate_sat_kvb: int, client: node.Node) -> dict[str, Any]:
    """Return the figures that two people look at before they give a payout up; see ``prepare`` for what it raises."""
    planned = prepare(payout_id, feerate_sat_kvb, client)
    current = PayoutTx.objects.get(payout__current=F("pk"), payout_id=payout_id)
    return {
        "old_txid": current.txid,
        "old_fee_sat": current.fee_sat,
        "old_vsize_vb": current.vsize_vb,
        "old_feerate_sat_kvb": current.feerate_sat_kvb,
        "old_change_sat": current.change_sat,
        "new_fee_sat": planned.fee_sat,
        "new_vsize_vb": planned.vsize_vb,
        "new_feerate_sat_kvb": planned.fee_sat * 1000 // planned.vsize_vb,
        "new_change_sat": planned.back_sat,
        "fee_added_sat": planned.fee_sat - current.fee_sat,
        "added_inputs": [],
        "spent_inputs": [str(spent.outpoint) for spent in planned.inputs],
    }


def write(payout: Payout, planned: Plan) -> PayoutTx:
    """Make the void the payout's current version, to be signed next.

    Call it inside a database transaction that holds the wallet's row, under which no other payout of the list spends
    what is left of its fees, and the payout's. Raises NotVoidable, VoidTooDear, WalletNotReady.
    """
    _require_voidable(payout)
    most_sat = cap_sat(payout)
    if planned.fee_sat > most_sat:
        raise _too_dear(planned.fee_sat, most_sat, sum(spent.output.amount_sat for spent in planned.inputs))
    (script,) = seal.claim_change(payout.wallet, 1)
    return versions.add(
        payout,
        versions.Draft(
            kind=PayoutTxKind.VOID,
            inputs=[spent.outpoint for spent in planned.inputs],
            payments=[],
            change=[tx.Output(planned.back_sat, script)],
            fee_sat=planned.fee_sat,
            weight=planned.weight,
        ),
    )


def cap_sat(payout: Payout) -> int:
    """Return the most satoshis that voiding the payout may cost."""
    program = payout.wallet.program
    largest_vb = max(PayoutTx.objects.filter(payout=payout).values_list("vsize_vb", flat=True))
    ceiling_sat = fee.fee_sat(
        weight=largest_vb * fee.WITNESS_SCALE, feerate_sat_kvb=program.feerate_ceiling_sat_kvb
    )
    if payout.disbursement is None:
        return ceiling_sat
    of_list = Q(disbursement=payout.disbursement) | Q(parent__disbursement=payout.disbursement)
    others = Payout.objects.filter(of_list).exclude(status=S.UNSEALED)
    others_sat = others.exclude(pk=payout.pk).aggregate(total=Sum("current__fee_sat"))["total"] or 0
    return min(ceiling_sat, (payout.disbursement.fee_reserved_sat or 0) - others_sat)


def _too_dear(fee_sat: int, cap_sat: int, coins_sat: int) -> VoidTooDear:
    return VoidTooDear(
        f"Taking the payout back would cost {fee_sat} sat; at most {cap_sat} sat may be spent on it, and its coins"
        f" are worth {coins_sat} sat.",
        fee_sat=fee_sat,
        cap_sat=cap_sat,
        coins_sat=coins_sat,
    )


def _require_voidable(payout: Payout) -> None:
    if payout.status not in VOIDABLE:
        raise NotVoidable(
            f"Payout {payout.pk} is {payout.status}; only one that is {', '.join(VOIDABLE)} can be given up.",
            rule="status",
            status=payout.status,
        )


def _originals(payout: Payout) -> list[versions.Input]:
    """Return the coins that every version which pays spends, the anchor first."""
    rows = Reservation.objects.filter(payout=payout, is_original=True).order_by("position")
    return [
        versions.Input(tx.OutPoint(r.txid, r.vout), tx.Output(r.amount_sat, bytes(r.script_pubkey)))
        for r in rows
    ]
