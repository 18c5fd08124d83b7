"""The clock of grievances: an alarm about what nobody answered in time, and the end of what nobody says more about."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from ledger import audit
from payments.models import Alarm, Grievance
from payments.models.history import move
from payments.payout import alarms
from payments.states import GRIEVANCE_OPEN, GrievanceStatus

# For so long a person may say that the answer is wrong; after that it stands.
SILENCE = timedelta(days=30)
OVERDUE = "grievance_overdue"
AT_ONCE = 500


@transaction.atomic
def watch(now: datetime | None = None) -> None:
    """Sound an alarm about each grievance that is overdue, and close those whose person said nothing of the answer."""
    at = now or timezone.now()
    overdue = Grievance.objects.filter(status__in=GRIEVANCE_OPEN, due_at__lte=at)
    rung = Alarm.objects.filter(code=OVERDUE, subject="grievance", closed_at=None).values("subject_id")
    for row in overdue.exclude(pk__in=rung).order_by("due_at")[:AT_ONCE]:
        days = (at - row.due_at).days
        alarms.sound(
            OVERDUE,
            subject="grievance",
            subject_id=row.pk,
            program_id=row.program_id,
            message=f"Grievance {row.pk} ({row.get_category_display()}) is {row.status} and {days} days over its time.",
        )
    still = overdue.values("pk")
    gone = Alarm.objects.filter(code=OVERDUE, subject="grievance", closed_at=None).exclude(
        subject_id__in=still
    )
    alarms.close(gone, note="It is answered, or has a new clock.")
    silent = Grievance.objects.filter(status=GrievanceStatus.ANSWERED, answered_at__lte=at - SILENCE)
    ids = list(
        silent.select_for_update(skip_locked=True).order_by("pk").values_list("pk", flat=True)[:AT_ONCE]
    )
    if ids:
        was = audit.digests(Grievance, ids)
        rows = Grievance.objects.filter(pk__in=ids)
        move(rows, old=GrievanceStatus.ANSWERED, new=GrievanceStatus.CLOSED, expected=len(ids), ended_at=at)
        scopes = {pk: f"program:{program_id}" for pk, program_id in rows.values_list("pk", "program_id")}
        audit.record_all("grievance.close", Grievance, scopes, before=was)
