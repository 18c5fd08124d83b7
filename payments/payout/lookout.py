"""Looks with every sweep for what stops without a payout to blame, and closes alarms whose cause is gone by itself."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import CharField, F, OuterRef, Subquery, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from ledger.models import ReconciliationRun, RunStatus
from payments.models import Alarm, AlarmDelivery, Block, Heartbeat, NodeStatus, Payout, Program
from payments.onchain.network import MainnetRefused, WrongChain
from payments.payout import agreed, alarms, follow, guard, reconciling
from payments.prices import watch as prices
from payments.reserve import exposure, tasks
from payments.reserve import scanning as reserve
from payments.states import PayoutStatus

UNREACHABLE, ELSEWHERE, UNWATCHED = "node_unreachable", "node_elsewhere", "follow_late"
FROZEN, BREAK, DOWN = "payout_frozen", "reconciliation_break", "webhook_down"
# What a person must not close, because the next look would find it again.
WITH_THEIR_CAUSE = (
    UNREACHABLE,
    ELSEWHERE,
    UNWATCHED,
    FROZEN,
    DOWN,
    reconciling.OVERDUE,
    prices.OPEN,
    prices.MISSING,
    reserve.REUSED,
    reserve.OVER_CAP,
    reserve.UNSCANNED,
    tasks.UNCLASSED,
    tasks.UNKNOWN,
    exposure.FLOAT,
    *exposure.ALL,
)

# A node that restarts is back within a minute.
UNREACHABLE_S = 60
# Codes of a look at the node that say that it is another, at once; what was pruned has its own alarm.
ANOTHER_CHAIN = (
    MainnetRefused.code,
    WrongChain.code,
    guard.PinnedBlockMissing.code,
    follow.ForkTooDeep.code,
)
# A receiver may be restarted too; what waits for longer waits for a person.
UNTAKEN_S = 300


def look() -> None:
    """Open and close the alarms of this module; every look finds the same as long as nothing changes."""
    _node(timezone.now())
    _frozen()
    agreed.watch()
    _reconciliation()
    reconciling.watch(timezone.now())
    _webhook(timezone.now())
    prices.tell(timezone.now())
    reserve.tell(timezone.now())
    exposure.watch(timezone.now())


def _node(now: datetime) -> None:
    """Tell whether the node answers, follows our chain, and is looked at by anybody."""
    row = NodeStatus.objects.filter(network=settings.GOVPAY_NETWORK).first()
    if row is None:
        return
    awake_at = _awake_since(now)
    ok_at = max(row.ok_at, awake_at)
    # Whoever reads the blocks of a long pause looks at the node, and notes so at the end.
    read_at = Block.objects.order_by("-pk").values_list("read_at", flat=True).first() or awake_at
    looked_at = max(row.checked_at, read_at, awake_at)
    is_unwatched = looked_at < now - timedelta(seconds=Heartbeat.late_s(settings.GOVPAY_FOLLOW_S))
    is_elsewhere = not row.is_ok and row.code in ANOTHER_CHAIN
    is_silent = not row.is_ok and ok_at < now - timedelta(seconds=UNREACHABLE_S)
    is_silent &= not is_elsewhere and row.code != follow.BlocksPruned.code
    for code, is_so, message in (
        (UNWATCHED, is_unwatched, f"No worker has looked at the node since {_moment(looked_at)}."),
        (ELSEWHERE, is_elsewhere, row.message),
        (UNREACHABLE, is_silent, f"The node is of no use since {_moment(row.ok_at)}: {row.message}"),
    ):
        if is_so:
            alarms.sound(code, subject="node", message=message)
        else:
            alarms.clear(code, subject="node", note="The last look at the node found it otherwise.")


def _awake_since(now: datetime) -> datetime:
    """Return since when sweeps come without a long pause; before that nobody was there to look at the node."""
    if Heartbeat.is_due("sweep", every_s=Heartbeat.late_s(settings.GOVPAY_SWEEP_S)):
        Heartbeat.beat("awake")
    return Heartbeat.objects.get_or_create(name="awake", defaults={"beat_at": now})[0].beat_at


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


@transaction.atomic
def _frozen() -> None:
    """Close the alarms about payouts that are not frozen any more, whatever thawed, mined or voided them."""
    open_ones = Alarm.objects.filter(code=FROZEN, subject="payout", closed_at=None)
    # Locked first: a payout that is frozen again meanwhile is seen below, or opens an alarm of its own.
    ids = set(open_ones.order_by("pk").select_for_update().values_list("subject_id", flat=True))
    still = Payout.objects.filter(pk__in=ids, status=PayoutStatus.FROZEN).values_list("pk", flat=True)
    for pk, status in Payout.objects.filter(pk__in=ids - set(still)).values_list("pk", "status"):
        alarms.clear(
            FROZEN, subject="payout", subject_id=pk, note=f"It is {PayoutStatus(status).label.lower()}."
        )


def _reconciliation() -> None:
    """Tell of each program whether the newest run that proved anything found breaks.

    An alarm is about the newest run with breaks: another one that finds them is noted on it, and after a person closed
    it only another run opens the next.
    """
    runs = ReconciliationRun.objects.exclude(status=RunStatus.INCONCLUSIVE)
    of_program = runs.filter(scope=Concat(Value("program:"), Cast(OuterRef("pk"), CharField())))
    newest = Program.objects.annotate(run=Subquery(of_program.order_by("-pk").values("pk")[:1]))
    programs = dict(newest.values_list("run", "pk"))
    open_ones = Alarm.objects.filter(code=BREAK, closed_at=None)
    alarmed = set(open_ones.values_list("program_id", flat=True))
    for run in runs.filter(pk__in=programs).order_by("pk"):
        program_id = programs[run.pk]
        of_this = open_ones.filter(program_id=program_id)
        if run.status == RunStatus.CLEAN:
            if program_id in alarmed:
                alarms.close(of_this, note=f"Run {run.pk} is clean.")
            continue
        if Alarm.objects.filter(code=BREAK, subject="run", subject_id=run.pk).exists():
            continue
        count = run.break_count - run.explained_count
        message = f"Run {run.pk} of {run.scope} at block {run.block_height} found breaks: {count:,}."
        noted = {"subject_id": run.pk, "seen_at": timezone.now(), "times": F("times") + 1, "message": message}
        if not of_this.update(**noted):
            alarms.sound(BREAK, subject="run", subject_id=run.pk, program_id=program_id, message=message)


def _webhook(now: datetime) -> None:
    """Tell whether messages about alarms wait for a receiver that does not take them."""
    waiting = AlarmDelivery.objects.filter(delivered_at=None, made_at__lt=now - timedelta(seconds=UNTAKEN_S))
    oldest = waiting.order_by("pk").first() if settings.GOVPAY_ALARM_WEBHOOK_URL else None
    if oldest is None:
        alarms.clear(DOWN, subject="webhook", note="No message waits any more.")
        return
    message = f"Messages wait since {_moment(oldest.made_at)}: {waiting.count():,}. {oldest.error}"
    alarms.sound(DOWN, subject="webhook", message=message.strip())
