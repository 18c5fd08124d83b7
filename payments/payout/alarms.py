"""Opens and closes alarms: rows about something that a person must look at, one open row for each cause."""

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from ledger import audit
from payments.models import Alarm, AlarmEvent
from payments.payout import webhook


@transaction.atomic
def sound(
    code: str, *, subject: str, subject_id: int = 0, program_id: int | None = None, message: str
) -> Alarm:
    """Open an alarm about a row (payout, payment, disbursement, wallet, node), or note that an open one was seen again.

    ``code`` names the cause in snake_case, is one of ``causes.CAUSES``, and never changes its meaning. Call it inside
    the database transaction that records what happened, so that the two stand or fall together.
    """
    now = timezone.now()
    # Locked, so that nobody closes it as gone between the look and the note that it was seen again.
    alarm, is_new = Alarm.objects.select_for_update().get_or_create(
        code=code,
        subject=subject,
        subject_id=subject_id,
        closed_at=None,
        defaults={"program_id": program_id, "message": message[:300], "seen_at": now},
    )
    if is_new:
        audit.record_all("alarm.open", Alarm, {alarm.pk: _scope(alarm)})
        webhook.announce([alarm], AlarmEvent.OPENED)
    else:
        Alarm.objects.filter(pk=alarm.pk).update(seen_at=now, times=F("times") + 1, message=message[:300])
    return alarm


def clear(code: str, *, subject: str, subject_id: int = 0, note: str) -> None:
    """Close an open alarm whose cause is gone by itself; do nothing when there is none."""
    clear_all(code, subject=subject, subject_ids=[subject_id], note=note)


def clear_all(code: str, *, subject: str, subject_ids: Iterable[int], note: str) -> None:
    """Close the open alarms about any of these rows whose cause is gone."""
    rows = Alarm.objects.filter(code=code, subject=subject, subject_id__in=subject_ids, closed_at=None)
    # Nearly always there is none, and this is asked before every send.
    if rows.exists():
        close(rows, note=note)


def clear_others(code: str, *, subject: str, subject_ids: Iterable[int], note: str) -> None:
    """Close the open alarms about all rows but these."""
    rows = Alarm.objects.filter(code=code, subject=subject, closed_at=None).exclude(
        subject_id__in=subject_ids
    )
    if rows.exists():
        close(rows, note=note)


@transaction.atomic
def close(rows: QuerySet[Alarm], *, note: str, by: User | None = None) -> None:
    """Close those of the alarms that are still open; nobody closes what the engine finds gone."""
    open_ones = rows.filter(closed_at=None).order_by("pk").select_related("program")
    found = list(open_ones.select_for_update(of=("self",)))
    was = audit.digests(Alarm, [alarm.pk for alarm in found]) if by is None else {}
    Alarm.objects.filter(pk__in=[alarm.pk for alarm in found]).update(
        closed_at=timezone.now(), closed_by=by, close_note=note[:300]
    )
    if by is None:
        audit.record_all("alarm.clear", Alarm, {alarm.pk: _scope(alarm) for alarm in found}, before=was)
    webhook.announce(found, AlarmEvent.CLOSED)


def _scope(alarm: Alarm) -> str:
    return f"program:{alarm.program_id}" if alarm.program_id is not None else ""
