"""Alarms in people's hands: whose they are, and that they are done with."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, Q, QuerySet
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound
from ledger import audit
from payments.models import Alarm, AlarmEvent, Membership, Role
from payments.payout import alarms, guard, lookout, webhook
from payments.services import authority, stops

# Whoever works on what the engine does; approvers and auditors look on.
OWNERS = (Role.TREASURER, Role.RELEASER, Role.OFFICER)
# Codes that end with their cause: a person who closed one would hide what goes on.
_WITH_THEIR_CAUSE = (
    stops.ALARM,
    guard.TipStale.code,
    *(code.value for code in guard.HaltCode),
    *lookout.WITH_THEIR_CAUSE,
    "grievance_overdue",
)


class AlarmClosed(Conflict):
    """The alarm was closed before."""

    code = "alarm_closed"


class AlarmGoesOn(Conflict):
    """The alarm closes by itself when its cause is gone, and not before."""

    code = "alarm_goes_on"


def visible(user: Any) -> QuerySet[Alarm]:
    """Return the alarms of the user's programs, and those about node and engine, which concern everybody."""
    mine = Membership.objects.reading(user)
    concerns = Q(program__in=mine.values("program_id")) | (Q(program=None) & Exists(mine))
    return Alarm.objects.filter(concerns).select_related("owner", "closed_by", "program")


def may_be_closed(alarm: Alarm) -> bool:
    """Say whether a person may close the alarm: not one whose cause the engine itself watches."""
    return alarm.code not in _WITH_THEIR_CAUSE


@transaction.atomic
def take(*, by: User, alarm_id: int) -> Alarm:
    """Make the caller the alarm's owner; who had it before has it no more. Raises RoleMissing, AlarmClosed."""
    alarm = _lock(by, alarm_id)
    was = audit.digest(alarm)
    alarm.owner, alarm.owned_at = by, timezone.now()
    alarm.save(update_fields=["owner", "owned_at"])
    audit.record("alarm.take", alarm, by=by, scope=_scope(alarm), before=was)
    webhook.announce([alarm], AlarmEvent.TAKEN)
    return alarm


@transaction.atomic
def close(*, by: User, alarm_id: int, note: str) -> Alarm:
    """Close an alarm with what was found; a new one opens when the cause is seen again.

    Raises RoleMissing, AlarmClosed, AlarmGoesOn for one whose cause the engine itself watches, InvalidInput.
    """
    alarm = _lock(by, alarm_id)
    if not may_be_closed(alarm):
        raise AlarmGoesOn("This alarm closes by itself when its cause is gone.")
    note = note.strip()
    if not note or len(note) > 300:
        wrong = "Say what was found, in at most 300 characters."
        errors = [
            {"row": 0, "column": "note", "code": "missing" if not note else "too_long", "message": wrong}
        ]
        raise InvalidInput(wrong, errors=errors)
    was = audit.digest(alarm)
    alarms.close(Alarm.objects.filter(pk=alarm.pk), by=by, note=note)
    audit.record("alarm.close", alarm, by=by, scope=_scope(alarm), reason=note, before=was)
    alarm.refresh_from_db()
    return alarm


def _scope(alarm: Alarm) -> str:
    return alarm.program.scope if alarm.program else ""


def _lock(by: User, alarm_id: int) -> Alarm:
    if not visible(by).filter(pk=alarm_id).exists():
        raise NotFound("There is no such alarm in your programs.")
    alarm = Alarm.objects.select_for_update().get(pk=alarm_id)
    if alarm.program_id is not None:
        authority.require(user=by, program_id=alarm.program_id, roles=OWNERS)
    elif not by.is_active or not Membership.objects.filter(user_id=by.pk, role__in=OWNERS).exists():
        raise authority.RoleMissing("This needs the role of treasurer, releaser or program officer.")
    if alarm.closed_at is not None:
        raise AlarmClosed("The alarm was closed before.")
    return alarm
