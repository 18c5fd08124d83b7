"""Looks whether the node still holds what it took: evicted, expired and forgotten bytes go out again at once."""

import structlog
from django.contrib.postgres.aggregates import ArrayAgg

from payments import doorbell
from payments.models import Payout
from payments.onchain import node
from payments.states import PayoutStatus

log = structlog.get_logger(__name__)


def offer_forgotten(client: node.Node) -> None:
    """End the rest of payouts none of whose versions waits in the node's mempool any more, and ring for them.

    A payout that the node refused since then has its own delays and is left to them.
    """
    rested = Payout.objects.filter(status__in=[PayoutStatus.SENT, PayoutStatus.VOIDING], offers__gt=0)
    txids = dict(rested.annotate(txids=ArrayAgg("txs__txid")).values_list("pk", "txids"))
    lacking = client.mempool_lacks([txid for found in txids.values() for txid in found])
    forgotten = sorted(pk for pk, found in txids.items() if lacking.issuperset(found))
    if not forgotten:
        return
    log.warning("node_forgot_txs", payouts=len(forgotten))
    # Only those that nobody has offered meanwhile.
    Payout.objects.filter(pk__in=forgotten, offers__gt=0).update(offers=0, due_at=None)
    for pk in forgotten:
        doorbell.ring("advance", payout_id=pk)
