"""Has every program reconciled by the clock: what changed once a day, and all of it once a week; tells when that fails."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import connections
from django.db.models import (
    BooleanField,
    CharField,
    Exists,
    ExpressionWrapper,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Cast, Coalesce, Concat, Now
from django.utils import timezone

from ledger.models import ReconciliationRun, RunStatus
from ledger.reconciliation import service
from payments.models import Heartbeat, Program
from payments.onchain import network
from payments.payout import alarms, alone

OVERDUE = "reconciliation_overdue"
# One lock a program, from this number on; a run may take far longer than the pause before the next attempt.
LOCKS = 0x6770 << 48
# A run that takes longer is given up, and proves nothing.
LIMIT_S = 3_500
# A run that proved nothing is tried again so long after it began. Full runs, which may never end, wait for longer: in
# between the increments have their turn.
RETRY_S = 600
RETRY_FULL_S = 7_200
# So many times may its hour pass before it is overdue.
PATIENCE = 2
INCREMENT, FULL = "reconcile:", "recon-full:"


def due() -> Iterator[int]:
    """Yield the programs of which a run is due that was not tried just now."""
    yield from _due().values_list("pk", flat=True)


def reconcile(*, program_id: int) -> None:
    """Make the run of a program that is due, a full one first, unless none is or another worker is at it.

    One that does not end in time is stored as inconclusive.
    """
    now = timezone.now()
    try:
        with alone.only_one(LOCKS + program_id) as is_mine:
            program = _due().filter(pk=program_id).first() if is_mine else None
            if program is not None:
                Heartbeat.beat(f"{FULL if program.is_full_due else INCREMENT}{program_id}")
                service.reconcile(scope=program.scope, now=now, is_full=program.is_full_due)
    except SoftTimeLimitExceeded:
        # Nobody knows what its session is in the middle of.
        connections.close_all()
        scope = Program.objects.get(pk=program_id).scope
        service.give_up(scope=scope, started_at=now, reason=f"The run did not end within {LIMIT_S:,} s.")


def watch(now: datetime) -> None:
    """Sound an alarm about each program that was not reconciled for too long, and clear those about all others."""
    late = now - PATIENCE * timedelta(seconds=settings.GOVPAY_RECONCILE_EVERY_S)
    late_full = now - PATIENCE * timedelta(seconds=settings.GOVPAY_RECONCILE_FULL_EVERY_S)
    since = {
        "since": Coalesce("last_at", "wallet__ready_at"),
        "full_since": Coalesce("full_at", "wallet__ready_at"),
    }
    overdue = _standing().annotate(**since).filter(Q(since__lt=late) | Q(full_since__lt=late_full))
    ids = []
    for pk, last_at, full_at in overdue.values_list("pk", "since", "full_since"):
        message = (
            f"No reconciliation has proved anything since {last_at:%Y-%m-%d %H:%M:%S} UTC."
            if last_at < late
            else f"No full reconciliation has proved anything since {full_at:%Y-%m-%d %H:%M:%S} UTC."
        )
        alarms.sound(OVERDUE, subject="program", subject_id=pk, program_id=pk, message=message)
        ids.append(pk)
    alarms.clear_others(OVERDUE, subject="program", subject_ids=ids, note="It was reconciled.")


def _due() -> "QuerySet[Any]":
    """Return the programs of which a run is due, with ``is_full_due``; an increment has something to go on from."""
    now = timezone.now()
    late = now - timedelta(seconds=settings.GOVPAY_RECONCILE_EVERY_S)
    late_full = now - timedelta(seconds=settings.GOVPAY_RECONCILE_FULL_EVERY_S)
    full = (Q(full_at=None) | Q(full_at__lt=late_full)) & ~_tried(FULL, RETRY_FULL_S)
    increment = Q(last_at__lt=late) & ~_tried(INCREMENT, RETRY_S)
    programs = _standing().annotate(is_full_due=ExpressionWrapper(full, BooleanField()))
    found: QuerySet[Any] = programs.filter(Q(is_full_due=True) | increment)
    return found


def _tried(prefix: str, retry_s: int) -> Exists:
    """Tell whether such a run of the program began just now."""
    name = Concat(Value(prefix), Cast(OuterRef("pk"), CharField()))
    return Exists(Heartbeat.objects.filter(name=name, beat_at__gt=Now() - timedelta(seconds=retry_s)))


def _standing() -> "QuerySet[Any]":
    """Return the programs that have a wallet, with when the last run, and the last full one, began that proved anything."""
    scope = Concat(Value("program:"), Cast(OuterRef("pk"), CharField()))
    proved = (
        ReconciliationRun.objects.exclude(status=RunStatus.INCONCLUSIVE).filter(scope=scope).order_by("-pk")
    )
    ready = Program.objects.filter(network=network.current(), wallet__ready_at__isnull=False)
    return ready.annotate(
        last_at=Subquery(proved.values("started_at")[:1]),
        full_at=Subquery(proved.filter(is_full=True).values("started_at")[:1]),
    ).order_by("pk")
