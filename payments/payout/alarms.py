"""Opens alarms: rows about something that a person must look at, one open row for each cause."""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from payments.models import Alarm


@transaction.atomic
def sound(
    code: str, *, subject: str, subject_id: int = 0, program_id: int | None = None, message: str
) -> Alarm:
    """Open an alarm about a row (payout, payment, disbursement, wallet, node), or note that an open one was seen again.

    ``code`` names the cause in snake_case and never changes its meaning. Call it inside the database transaction that
    records what happened, so that the two stand or fall together.
    """
    now = timezone.now()
    alarm, is_new = Alarm.objects.get_or_create(
        code=code,
        subject=subject,
        subject_id=subject_id,
        closed_at=None,
        defaults={"program_id": program_id, "message": message[:300], "seen_at": now},
    )
    if not is_new:
        Alarm.objects.filter(pk=alarm.pk).update(seen_at=now, times=F("times") + 1, message=message[:300])
    return alarm


def clear(code: str, *, subject: str, subject_id: int = 0, note: str) -> None:
    """Close an open alarm whose cause is gone by itself; do nothing when there is none."""
    Alarm.objects.filter(code=code, subject=subject, subject_id=subject_id, closed_at=None).update(
        closed_at=timezone.now(), close_note=note[:300]
    )


def clear_all(code: str, *, subject: str, subject_ids: Iterable[int], note: str) -> None:
    """Close the open alarms about any of these rows, in one statement."""
    Alarm.objects.filter(code=code, subject=subject, subject_id__in=subject_ids, closed_at=None).update(
        closed_at=timezone.now(), close_note=note[:300]
    )
