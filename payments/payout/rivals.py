"""Looks at what a replacement would evict, and so at what it must beat: here, and in the memory pools of others."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from govpay.errors import Conflict
from payments.models import PayoutTx
from payments.onchain import node, tx
from payments.payout import rbf

# A node replaces no more txs than this at once (BIP125, rule 5).
MOST_REPLACED = 100
# What nodes ask for at least by default, whatever ours is set to: the replacement must convince them all.
INCREMENTAL_SAT_KVB = 1_000


class TooManyReplaced(Conflict):
    """More txs hang on the payout than nodes evict at once."""

    code = "too_many_replaced"


@dataclass(frozen=True)
class Look:
    """What the node said before the database transaction: what a replacement must beat, and which txs it would evict."""

    outbid: rbf.Outbid
    spenders: frozenset[str]


def look(spent: Iterable[tx.OutPoint], known: QuerySet[PayoutTx], client: node.Node) -> Look:
    """Ask the node which txs spend these coins and what hangs on them; ``known`` versions may be out there unseen.

    Call it outside database transactions. Raises TooManyReplaced, NodeError.
    """
    fees, feerates, here_sat, replaced = [0], [0], 0, 0
    for fee_sat, vsize_vb in known.values_list("fee_sat", "vsize_vb"):
        fees.append(fee_sat)
        feerates.append(-(-fee_sat * 1000 // vsize_vb))
    spenders = client.mempool_spenders(list(spent))
    for txid in spenders:
        entry = client.mempool_entry(txid)
        if entry is not None:
            here_sat += entry.descendant_fee_sat
            replaced += entry.descendant_count
            feerates.append(-(-entry.fee_sat * 1000 // entry.vsize_vb))
    if replaced > MOST_REPLACED:
        raise TooManyReplaced(
            f"{replaced} txs hang on this payout in the memory pool; nodes replace at most {MOST_REPLACED}.",
            replaced=replaced,
            most=MOST_REPLACED,
        )
    outbid = rbf.Outbid(
        fee_sat=max(here_sat, *fees),
        feerate_sat_kvb=max(feerates),
        incremental_sat_kvb=max(INCREMENTAL_SAT_KVB, client.incremental_feerate_sat_kvb()),
        mempool_min_sat_kvb=client.mempool_min_feerate_sat_kvb(),
    )
    return Look(outbid, frozenset(spenders))
