"""Has every program reconciled by the clock: what changed once a day, and all of it once a week; tells when that fails."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import CharField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from ledger.models import ReconciliationRun, RunStatus
from ledger.reconciliation import service
from payments.models import Heartbeat, Program
from payments.onchain import network
from payments.payout import alarms

OVERDUE = "reconciliation_overdue"
# A run that proves nothing, or does not end, is tried again after this long.
RETRY_S = 600
# So many times may its hour pass before it is overdue.
PATIENCE = 2


def due() -> Iterator[int]:
    """Yield the programs whose last run that proved anything lies long enough back, and that were not tried just now."""
    late = timezone.now() - timedelta(seconds=settings.GOVPAY_RECONCILE_EVERY_S)
    for pk in _standing().filter(Q(last_at=None) | Q(last_at__lt=late)).values_list("pk", flat=True):
        if Heartbeat.is_due(_beat(pk), every_s=RETRY_S):
            yield pk


def reconcile(*, program_id: int) -> None:
    """Reconcile a program, unless somebody began to just now; all of it where the last full run lies long enough back."""
    if not Heartbeat.is_due(_beat(program_id), every_s=RETRY_S):
        return
    Heartbeat.beat(_beat(program_id))
    now = timezone.now()
    scope = Program.objects.get(pk=program_id).scope
    fresh = now - timedelta(seconds=settings.GOVPAY_RECONCILE_FULL_EVERY_S)
    full = _proved().filter(scope=scope, is_full=True, started_at__gt=fresh)
    service.reconcile(scope=scope, now=now, is_full=not full.exists())


def watch(now: datetime) -> None:
    """Sound an alarm about each program that was not reconciled for too long, and clear those about others."""
    late = now - PATIENCE * timedelta(seconds=settings.GOVPAY_RECONCILE_EVERY_S)
    for pk, run_at, ready_at in _standing().values_list("pk", "last_at", "wallet__ready_at"):
        last_at = run_at or ready_at
        if last_at is not None and last_at < late:
            message = f"No reconciliation has proved anything since {last_at:%Y-%m-%d %H:%M:%S} UTC."
            alarms.sound(OVERDUE, subject="program", subject_id=pk, program_id=pk, message=message)
        else:
            alarms.clear(OVERDUE, subject="program", subject_id=pk, note="It was reconciled.")


def _standing() -> "QuerySet[Any, Any]":
    """Return the programs that have a wallet, with ``last_at``, when the last run began that proved anything."""
    scope = Concat(Value("program:"), Cast(OuterRef("pk"), CharField()))
    newest = _proved().filter(scope=scope).order_by("-pk").values("started_at")[:1]
    ready = Program.objects.filter(network=network.current(), wallet__ready_at__isnull=False)
    return ready.annotate(last_at=Subquery(newest)).order_by("pk")


def _proved() -> QuerySet[ReconciliationRun]:
    return ReconciliationRun.objects.exclude(status=RunStatus.INCONCLUSIVE)


def _beat(program_id: int) -> str:
    return f"reconcile:{program_id}"
