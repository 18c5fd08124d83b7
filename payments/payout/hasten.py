"""Raises fees by itself: of payouts that wait for too many blocks, and of those that the node does not take any more.

A replacement where it is possible, else a child, and the cheaper of the two where txs of others hang on the payout.
Nothing is bumped without end: not more often than once in ``bump_after_blocks``, and never over a cap. Where a cap or the
network stands in the way, an alarm calls a person.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from django.db.models import F, Q, QuerySet, Subquery

from govpay.errors import GovPayError
from payments.models import Block, Payout, PayoutKind, PayoutTx, PayoutTxKind, Program
from payments.onchain import node
from payments.payout import alarms, bump, child, feerate, guard, versions
from payments.states import PayoutStatus

log = structlog.get_logger(__name__)

S = PayoutStatus
# How many of a wallet's payouts the node is asked about in one round; what is left comes with the next.
AT_ONCE = 50
# The feerate that a replacement takes depends a little on its shape, and the shape on the feerate.
ROUNDS = 3
# A block came first, or people have stopped the engine and know why.
NOTHING_TO_DO = (bump.PayoutNotBumpable, guard.EngineStopped, guard.WalletHalted)
# A spike may pass by itself; after so many times the program's own patience a person should know of it.
ALARM_AFTER_TIMES = 4


@dataclass(frozen=True)
class Way:
    """One way to a higher feerate: what it costs, and the call that takes it."""

    feerate_sat_kvb: int
    shown: dict[str, Any]
    build: Callable[[int, int, node.Node], PayoutTx]

    @property
    def added_sat(self) -> int:
        """What it costs more."""
        return int(self.shown["fee_added_sat"])


def stuck() -> QuerySet[Payout]:
    """Return payouts whose newest version a node took more blocks ago than their program waits for."""
    tip = Block.objects.filter(is_active=True).order_by("-height").values("height")[:1]
    waiting = Payout.objects.filter(
        status=S.SENT, mined_txid__isnull=True, current__raw__isnull=False, sent_height__isnull=False
    )
    patience = F("sent_height") + F("wallet__program__bump_after_blocks")
    return (
        waiting.exclude(kind=PayoutKind.CONSOLIDATION)
        .annotate(bump_height=patience, tip_height=Subquery(tip))
        .filter(bump_height__lte=F("tip_height"))
    )


def raise_stuck(wallet_id: int, client: node.Node) -> None:
    """Raise the fees of a wallet's stuck payouts to what the network asks now; in a spike, of the urgent ones only.

    What pays enough already, or was refused before, keeps nobody else waiting.
    """
    rows = stuck().filter(wallet_id=wallet_id).annotate(has_problem=~Q(problem=""))
    chosen: dict[bool, int | GovPayError] = {}
    asked = 0
    for payout_id in rows.order_by("has_problem", "sent_height", "pk").values_list("pk", flat=True):
        if asked == AT_ONCE:
            break
        payout = bump.read(payout_id)
        is_urgent = _is_urgent(payout)
        if is_urgent not in chosen:
            chosen[is_urgent] = _choose(payout.wallet.program, client, is_urgent)
        asked += _raise(payout, chosen[is_urgent], client)


def outbid_floor(payout_id: int, client: node.Node) -> None:
    """Raise the fee of a payout that the node's memory pool lacks and would not take: its minimum has risen."""
    payout = bump.read(payout_id)
    current = payout.current
    if payout.status not in (S.SIGNED, S.SENT) or current is None or current.raw is None:
        return
    if current.kind == PayoutTxKind.BUMP and _blocks_since(current) < payout.wallet.program.bump_after_blocks:
        return
    standing = versions.standing(payout, client)
    is_too_low = standing.feerate_sat_kvb < client.mempool_min_feerate_sat_kvb()
    if is_too_low and not client.mempool_has(standing.txid):
        _raise(payout, _choose(payout.wallet.program, client, _is_urgent(payout)), client)


def _raise(payout: Payout, wanted: int | GovPayError, client: node.Node) -> bool:
    """Take the cheapest way to the feerate, or say why there is none; tell whether one was looked for."""
    if isinstance(wanted, GovPayError):
        _call_a_person(payout, wanted)
        return False
    try:
        is_enough = wanted <= _feerate_now(payout, client) or _has_live_child(payout, client)
    except bump.PayoutNotBumpable:
        # A child whose parent lost or was given up; the wallet's other payouts must not wait behind it.
        return False
    if is_enough:
        return False
    ways: list[Way] = []
    refusals: list[GovPayError] = []
    for find in (_by_bump, _by_child):
        if ways and not _is_dearer(ways[0]):
            break
        try:
            ways.append(find(payout, wanted, client))
        except node.NodeError:
            raise
        except GovPayError as error:
            refusals.append(error)
    if not ways:
        _call_a_person(payout, refusals[0])
        return True
    way = min(ways, key=lambda found: found.added_sat)
    try:
        version = way.build(payout.pk, way.feerate_sat_kvb, client)
    except node.NodeError:
        raise
    except GovPayError as error:
        # The world moved since the preview: another worker, a cap, a block. The next round looks again.
        log.warning("bump_waits", payout_id=payout.pk, code=error.code, reason=error.message)
        return True
    alarms.clear(feerate.ALARM, subject="payout", subject_id=payout.pk, note="Its fee was raised.")
    log.info(
        "fee_raised",
        payout_id=payout.pk,
        txid=version.txid,
        added_sat=way.added_sat,
        feerate=way.feerate_sat_kvb,
    )
    return True


def _by_bump(payout: Payout, wanted: int, client: node.Node) -> Way:
    """Return the replacement at the feerate, or at the least above it that nodes take."""
    for _ in range(ROUNDS):
        try:
            return Way(wanted, bump.preview(payout.pk, wanted, client), bump.build)
        except bump.BumpTooLow as error:
            wanted = int(error.details["least_feerate_sat_kvb"])
            feerate.require_patience(payout.wallet.program, wanted, is_urgent=_is_urgent(payout))
    return Way(wanted, bump.preview(payout.pk, wanted, client), bump.build)


def _by_child(payout: Payout, wanted: int, client: node.Node) -> Way:
    return Way(wanted, child.preview(payout.pk, wanted, client), child.build)


def _is_dearer(way: Way) -> bool:
    """Say whether others' txs hang on the payout, so that replacing it pays for them, too."""
    return bool(way.shown["evicted_fee_sat"] > way.shown["old_fee_sat"])


def _feerate_now(payout: Payout, client: node.Node) -> int:
    """Return the feerate of the newest version that can confirm; of a child and its parent together."""
    parent = bump.parent_version(payout)
    standing = versions.standing(payout, client)
    if parent is None:
        return standing.feerate_sat_kvb
    both_vb = standing.vsize_vb + parent.vsize_vb
    return (standing.fee_sat + parent.fee_sat) * 1000 // both_vb


def _has_live_child(payout: Payout, client: node.Node) -> bool:
    """Say whether a child pays for it: then that one's fee is raised."""
    found = bump.live_child(payout)
    return found is not None and client.mempool_has(found.anchor_txid)


def _choose(program: Program, client: node.Node, is_urgent: bool) -> int | GovPayError:
    try:
        return feerate.choose(program, client, is_urgent=is_urgent)
    except feerate.BLOCKS as error:
        return error


def _is_urgent(payout: Payout) -> bool:
    pays_for = payout if payout.parent is None else payout.parent
    return pays_for.disbursement is not None and pays_for.disbursement.is_urgent


def _blocks_since(version: PayoutTx) -> int:
    return Block.objects.filter(is_active=True, read_at__gt=version.built_at).count()


def _call_a_person(payout: Payout, error: GovPayError) -> None:
    """Note why a payout cannot be hurried; open an alarm unless fees alone may still come down in time."""
    if isinstance(error, NOTHING_TO_DO):
        return
    Payout.objects.filter(pk=payout.pk).update(problem=error.message[:300])
    patience = payout.wallet.program.bump_after_blocks * ALARM_AFTER_TIMES
    tip = Block.objects.filter(is_active=True).order_by("-height").values_list("height", flat=True).first()
    waited = 0 if tip is None or payout.sent_height is None else tip - payout.sent_height
    if error.is_transient and waited < patience:
        return
    alarms.sound(
        feerate.ALARM,
        subject="payout",
        subject_id=payout.pk,
        program_id=payout.wallet.program_id,
        message=f"This payout waits and its fee cannot be raised. {error.message}",
    )
