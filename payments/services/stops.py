"""The global stop switch: thrown by one person in a hurry, lifted by another in calm."""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from payments import doorbell
from payments.models import Membership, Role, Stop
from payments.payout import alarms
from payments.services import authority

ALARM = "engine_stopped"


class AlreadyStopped(Conflict):
    """A stop is open already."""

    code = "already_stopped"


class StopLifted(Conflict):
    """The stop was lifted before."""

    code = "stop_lifted"


def may_throw(user: User) -> bool:
    """Say whether the user may stop the engine: a treasurer or auditor of any program, or who holds add_stop."""
    return _holds(user, Role.TREASURER, Role.AUDITOR) or user.has_perm("payments.add_stop")


def may_lift(user: User) -> bool:
    """Say whether the user may lift a stop that somebody else threw: a treasurer, or who holds change_stop."""
    return _holds(user, Role.TREASURER) or user.has_perm("payments.change_stop")


@transaction.atomic
def throw(*, by: User, reason: str) -> Stop:
    """Stop the engine: from now on nothing is sealed, signed or sent; blocks are followed as ever.

    What a signer is working on is stored when it comes back and not sent. Raises RoleMissing, AlreadyStopped.
    """
    if not may_throw(by):
        raise authority.RoleMissing("Stopping the engine needs the role of treasurer or auditor.")
    _require_reason(reason)
    try:
        with transaction.atomic():
            stop = Stop.objects.create(thrown_by=by, reason=reason.strip())
    except IntegrityError as error:
        raise AlreadyStopped("The engine is stopped already.") from error
    audit.record("stop.throw", stop, by=by, reason=stop.reason)
    alarms.sound(ALARM, subject="engine", message=f"{by.get_username()} stopped the engine: {stop.reason}")
    return stop


@transaction.atomic
def lift(*, by: User, stop_id: int, reason: str) -> Stop:
    """Let the engine go on; another person than the one who stopped it must say so.

    Raises RoleMissing, SamePersonTwice, StopLifted.
    """
    stop = Stop.objects.select_for_update().filter(pk=stop_id).first()
    if stop is None or not (may_throw(by) or may_lift(by)):
        raise NotFound("There is no such stop.")
    if not may_lift(by):
        raise authority.RoleMissing("Lifting a stop needs the role of treasurer.", roles=[Role.TREASURER])
    if not stop.is_open:
        raise StopLifted("This stop was lifted before.")
    if stop.thrown_by_id == by.pk:
        raise SamePersonTwice("Somebody else than the person who stopped the engine must lift it.")
    _require_reason(reason)
    was = audit.digest(stop)
    stop.is_open, stop.lifted_by, stop.lifted_at = False, by, timezone.now()
    stop.lift_reason = reason.strip()
    stop.save()
    audit.record("stop.lift", stop, by=by, reason=stop.lift_reason, before=was)
    alarms.clear(ALARM, subject="engine", note=f"{by.get_username()} lifted the stop: {stop.lift_reason}")
    doorbell.ring("sweep")
    return stop


def _holds(user: User, *roles: str) -> bool:
    return user.is_active and Membership.objects.filter(user_id=user.pk, role__in=roles).exists()


def _require_reason(reason: str) -> None:
    wrong = "" if reason.strip() else "Say why."
    wrong = wrong or ("Use at most 300 characters." if len(reason.strip()) > 300 else "")
    if wrong:
        code = "missing" if not reason.strip() else "too_long"
        raise InvalidInput.of("reason", code, wrong)
