"""Scans what is on the addresses of all holdings, at one block and in one call of the node, and tells what was found."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from ledger.models import ReserveBalance, ReserveScan
from ledger.treasury import reserve
from payments.models import Block, Holding, HoldingAddress, ReserveStatus
from payments.onchain import network, node, rpc
from payments.onchain.chain import UtxoScan
from payments.payout import alarms, alone, guard
from payments.reserve import exposure, tasks, valuing

REUSED, OVER_CAP, UNSCANNED = "reserve_reused", "reserve_over_cap", "reserve_unscanned"
SUBJECT = "holding"
GONE = "The newest scan does not find it any more."
# Longer than a node looks through the outputs of a large test network; a worker that died is followed by another then.
LIMIT_S = 700
RETRY_S = 60


class ScanInconclusive(rpc.NodeError):
    """The node is busy for somebody else, or moved to another branch meanwhile; nothing was recorded."""

    code = "scan_inconclusive"


def due() -> bool:
    """Say whether a scan is to be made now: there are holdings, and none was made for as long as the settings say.

    Once the last holding has ended, one more scan finds nothing, so that nobody takes the one before for what is held.
    """
    is_shown = ReserveBalance.objects.filter(scan=reserve.standing().values("pk")[:1]).exists
    if not (HoldingAddress.objects.filter(is_live=True).exists() or is_shown()):
        return False
    return not ReserveStatus.objects.filter(due_at__gt=Now()).exists()


def visit() -> None:
    """Scan, unless somebody else does or has just done; what is inconclusive is noted, and comes again in a minute."""
    ReserveStatus.objects.get_or_create(is_only=True, defaults={"due_at": timezone.now()})
    mine = ReserveStatus.objects.filter(due_at__lte=Now()).update(
        due_at=Now() + timedelta(seconds=LIMIT_S), began_at=Now(), ended_at=None
    )
    if not mine:
        return
    try:
        scan = look()
    except (rpc.NodeError, network.WrongChain, network.MainnetRefused) as error:
        _end(RETRY_S, fault=error.code, message=error.message[:300])
    else:
        # A holding that was set meanwhile may not be in it.
        began_at = ReserveStatus.objects.values("began_at")
        exposure.tell(timezone.now())
        is_old = Holding.objects.filter(proposal__decided_at__gte=began_at).exists()
        _end(0 if is_old else settings.GOVPAY_RESERVE_S, fault="", message="", scan=scan)


def look() -> ReserveScan:
    """Ask the node, outside every database transaction, and record what it says as a scan, valued by quotes.

    Raises NodeError (ScanInconclusive among them), WrongChain, MainnetRefused: then nothing was recorded.
    """
    rows = list(HoldingAddress.objects.filter(is_live=True).select_related("holding").order_by("pk"))
    by_script = {bytes(row.script_pubkey): row.address for row in rows if row.script_pubkey is not None}
    timeout_s = max(settings.GOVPAY_NODE_TIMEOUT_S, alone.SCAN_TIMEOUT_S)
    client = node.Node(settings.GOVPAY_NODE_URL, timeout_s=timeout_s)
    try:
        guard.require_chain(client)
        found = ask(client, sorted(by_script))
        block_at = datetime.fromtimestamp(client.block_header(found.block_hash).time, UTC)
        _lose_old(client)
        if client.block_hash(found.height) != found.block_hash:
            raise ScanInconclusive("The node moved to another branch during the scan.")
    finally:
        client.close()
    with transaction.atomic():
        scan = reserve.record(
            network=network.current().value,
            block_hash=found.block_hash,
            height=found.height,
            block_at=block_at,
            lines=[_line(row) for row in rows],
            unspents=[
                reserve.Unspent(
                    by_script[output.script_pubkey], outpoint.txid, outpoint.vout, output.amount_sat, height
                )
                for outpoint, output, height in found.unspents
            ],
        )
        valuing.value(scan)
    return scan


def watch() -> None:
    """Mark scans whose block left the chain as we read it, and have the reserve scanned anew at once."""
    newest = reserve.standing().first()
    if newest is None:
        return
    # Another block stands at its height. Where ours was not read yet, nothing is said.
    others = Block.objects.filter(height=newest.height, is_active=True).exclude(block_hash=newest.block_hash)
    if others.exists():
        reserve.lose([newest])
        ReserveStatus.objects.exclude(ended_at=None).update(due_at=Now())


def tell(now: datetime) -> None:
    """Open and close the alarms about what the newest scan found, and about scans that do not come."""
    watch()
    live = {row.pk: row for row in Holding.objects.filter(ended_at=None).select_related("proposal")}
    newest = reserve.standing().first()
    found = ReserveBalance.objects.filter(scan=newest, holding_number__in=live)
    reused = _count(found.filter(is_reused=True, amount_sat__gt=0))
    for pk, count in reused.items():
        message = f"{count} addresses of {live[pk]} received after a spend, as of {newest}."
        alarms.sound(REUSED, subject=SUBJECT, subject_id=pk, message=message)
    alarms.clear_others(REUSED, subject=SUBJECT, subject_ids=reused, note=GONE)
    over = _count(found.filter(is_over_cap=True))
    for pk, count in over.items():
        message = f"{count} addresses of {live[pk]} hold more than the cap, as of {newest}."
        alarms.sound(OVER_CAP, subject=SUBJECT, subject_id=pk, message=message)
    alarms.clear_others(OVER_CAP, subject=SUBJECT, subject_ids=over, note=GONE)
    _tell_late(now, newest, live)
    tasks.tell(now)


def _count(rows: QuerySet[ReserveBalance]) -> dict[int, int]:
    """Return the number of balances of each holding."""
    counted = rows.order_by("holding_number").values_list("holding_number").annotate(count=Count("pk"))
    return dict(counted)


def _tell_late(now: datetime, newest: ReserveScan | None, live: dict[int, Holding]) -> None:
    old = now - timedelta(seconds=2 * settings.GOVPAY_RESERVE_S)
    begun = [row.proposal.decided_at or now for row in live.values()] if newest is None else []
    since = newest.scanned_at if newest is not None else min(begun, default=now)
    if live and since < old:
        status = ReserveStatus.objects.first()
        why = status.message if status is not None and status.message else "No worker has looked."
        alarms.sound(UNSCANNED, subject="reserve", message=f"No scan stands since {since:%Y-%m-%d}. {why}")
    else:
        alarms.clear(UNSCANNED, subject="reserve", note="A scan stands, or nothing is held.")


def ask(client: node.Node, scripts: list[bytes]) -> UtxoScan:
    """Return what is unspent, unless the node looks for somebody of ours now; of no scripts that is nothing at its tip."""
    if not scripts:
        info = client.chain_info()
        return UtxoScan(info.best_block_hash, info.height, [])
    with alone.only_one(alone.SCAN_LOCK) as is_mine:
        if not is_mine:
            raise ScanInconclusive("A reconciliation has the node look through its unspent outputs now.")
        return client.scan_utxos(scripts)


def _lose_old(client: node.Node) -> None:
    """Mark scans, newest first, until one whose block is in the node's active chain: what is below it is there too."""
    lost = []
    for scan in reserve.standing().iterator():
        if client.block_hash(scan.height) == scan.block_hash:
            break
        lost.append(scan)
    reserve.lose(lost)


def _line(row: HoldingAddress) -> reserve.Line:
    of = row.holding
    return reserve.Line(
        of.scope,
        of.name,
        of.pk,
        row.network,
        row.address,
        of.badge,
        of.cap_sat,
        row.declared_sat or 0,
    )


def _end(due_s: int, **changes: object) -> None:
    ReserveStatus.objects.update(ended_at=Now(), due_at=Now() + timedelta(seconds=due_s), **changes)
