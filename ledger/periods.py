"""Opens, closes and seals the periods of the books: one person closes, a second one seals what the first one saw."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from govpay.errors import Conflict, Forbidden, InvalidInput, SamePersonTwice, Unavailable
from ledger import audit, selectors
from ledger.models import Period, PeriodChange, PeriodStatus
from ledger.models.period import NAME

RIGHT = "ledger.close_period"
# Who closes waits for entries that are being written, and entries wait for who closes: not for long.
WAIT_S = 5
ACTS = {
    PeriodStatus.OPEN: "period.reopen",
    PeriodStatus.CLOSING: "period.close",
    PeriodStatus.SEALED: "period.seal",
}
LOCK = "SET LOCAL lock_timeout = '{}s'; SELECT pg_advisory_xact_lock(ledger_lock())"
FIGURES = """
SELECT a.code, p.layer, a.currency, sum(p.amount) FILTER (WHERE p.amount > 0), -sum(p.amount) FILTER (WHERE p.amount < 0)
FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id JOIN ledger_account a ON a.id = p.account_id
WHERE e.effective_at < %s AND e.id <= %s
GROUP BY a.code, p.layer, a.currency ORDER BY a.code COLLATE "C", p.layer COLLATE "C"
"""


class PeriodState(Conflict):
    """The period is not in the status that allows this."""

    code = "period_state"


class PeriodNotOver(Conflict):
    """The period has not ended yet."""

    code = "period_not_over"


class PeriodOrder(Conflict):
    """A period before this one is not sealed."""

    code = "period_order"


class PeriodChanged(Conflict):
    """The books of the period are not those that the first person closed, or not those that the second one saw."""

    code = "period_changed"


class BooksBusy(Unavailable):
    """Entries that are being written keep the periods as they are for longer than anybody should wait."""

    code = "books_busy"


@dataclass(frozen=True)
class Figures:
    """What stood at a period's end: ``digest`` is the SHA-256 of the trial balance of every layer, as text.

    A line of the text is code, layer, currency, debits and credits, with a space between; ``entry_count`` entries are in.
    """

    through_entry_id: int
    entry_count: int
    digest: bytes


@transaction.atomic
def open_next(*, by: User, name: str, ends_at: datetime) -> Period:
    """Open the period that follows the last one and ends before ``ends_at``; raise Forbidden, InvalidInput."""
    _require(by)
    _lock()
    period = Period(name=name, ends_at=ends_at, opened_by=by.get_username())
    last = Period.objects.order_by("ends_at").last()
    if last is not None and ends_at <= last.ends_at:
        raise _invalid("ends_at", f"It must end after {last.name}, which ends at {last.ends_at.isoformat()}.")
    if Period.objects.filter(name=name).exists():
        raise _invalid("name", "Another period has this name.")
    if not re.fullmatch(NAME, name):
        raise _invalid("name", "Use 1 to 30 letters, digits, spaces, dots, hyphens and underscores.")
    period.save()
    audit.record("period.open", period, by=by)
    return period


@transaction.atomic
def close(*, by: User, name: str, note: str = "") -> PeriodChange:
    """Close a period that is over: late facts go to the next one from now on, and a second person may seal it.

    Only the earliest period that is not sealed. Raises Forbidden, NotFound, PeriodState, PeriodNotOver, PeriodOrder.
    """
    _require(by)
    _lock()
    period = _get(name, PeriodStatus.OPEN)
    if period.ends_at > timezone.now():
        raise PeriodNotOver(
            f"{name} is not over: it ends at {period.ends_at.isoformat()}.",
            ends_at=period.ends_at.isoformat(),
        )
    earlier = (
        selectors.periods().filter(ends_at__lt=period.ends_at).exclude(status=PeriodStatus.SEALED).first()
    )
    if earlier is not None:
        raise PeriodOrder(f"{earlier.name} comes first; it is {earlier.status}.", period=earlier.name)
    return _change(period, PeriodStatus.CLOSING, by, note)


@transaction.atomic
def reopen(*, by: User, name: str, note: str) -> PeriodChange:
    """Open a period again that was closed and not sealed; raise Forbidden, NotFound, PeriodState."""
    _require(by)
    _lock()
    return _change(_get(name, PeriodStatus.CLOSING), PeriodStatus.OPEN, by, note)


@transaction.atomic
def seal(*, by: User, name: str, digest: bytes, note: str = "") -> PeriodChange:
    """Seal a closed period for good, as it was when it was closed: nothing is dated before its end any more.

    ``digest`` is that of the figures which the second person looked at. Raises Forbidden, NotFound, PeriodState,
    SamePersonTwice, and PeriodChanged where the figures are others or somebody corrected the books since.
    """
    _require(by)
    # Added up before entries have to wait; what stood when it was closed stands for ever.
    seen = figures(_get(name, PeriodStatus.CLOSING))
    _lock()
    period = _get(name, PeriodStatus.CLOSING)
    closed = selectors.last_change(period)
    assert closed is not None  # It is closing.
    if closed.user_id is None:
        raise PeriodChanged(f"Nobody kept who closed {name}; open it again and close it with that.")
    if closed.user_id == by.pk:
        raise SamePersonTwice(f"{by.get_username()} closed {name}; a second person seals it.")
    if closed.actor == by.get_username():
        raise SamePersonTwice(
            f"{name} was closed under the name {closed.actor}; somebody of another name seals it."
        )
    if closed.through_entry_id != seen.through_entry_id or digest != seen.digest:
        raise PeriodChanged(
            f"The figures of {name} are not those that were looked at.", digest=seen.digest.hex()
        )
    later = selectors.entries_since(closed).first()
    if later is not None:
        raise PeriodChanged(
            f"Entry {later.pk} was dated in {name} after it was closed; open it again and close it with that.",
            entry_id=later.pk,
        )
    return _change(period, PeriodStatus.SEALED, by, note, digest=seen.digest)


def figures(period: Period) -> Figures:
    """Add up a period that was closed, as it stood then; raise PeriodState for one that is open."""
    change = selectors.last_change(period)
    if change is None or change.status == PeriodStatus.OPEN:
        raise PeriodState(f"{period.name} is open: its figures still move.", status=PeriodStatus.OPEN)
    through = change.through_entry_id
    digest = hashlib.sha256()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM ledger_entry WHERE effective_at < %s AND id <= %s",
            [period.ends_at, through],
        )
        (count,) = cursor.fetchone()
        ends_at = period.ends_at.astimezone(UTC).isoformat()
        digest.update(f"govpay period 1\n{period.name}\n{ends_at}\n{count}\n".encode())
        cursor.execute(FIGURES, [period.ends_at, through])
        for code, layer, currency, debit, credit in cursor:
            digest.update(f"{code} {layer} {currency} {debit or 0} {credit or 0}\n".encode())
    return Figures(through, count, digest.digest())


def is_as_sealed(period: Period) -> bool:
    """Add a sealed period up again and say whether it is what was sealed; raise PeriodState for one that is not."""
    change = selectors.last_change(period)
    if change is None or change.digest is None:
        raise PeriodState(f"{period.name} is not sealed.")
    return figures(period).digest == bytes(change.digest) and not selectors.entries_since(change).exists()


def _require(by: User) -> None:
    if not by.has_perm(RIGHT):
        raise Forbidden(f"This needs the permission {RIGHT}.")


def _invalid(column: str, message: str) -> InvalidInput:
    return InvalidInput(message, errors=[{"row": 0, "column": column, "code": "invalid", "message": message}])


def _lock() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(LOCK.format(WAIT_S))
    except OperationalError as error:
        raise BooksBusy("Entries are being written that take long; try again.") from error


def _get(name: str, wanted: PeriodStatus) -> Period:
    period = selectors.get_period(name)
    if period.status != wanted:
        raise PeriodState(f"{name} is {period.status}, not {wanted}.", status=period.status)
    return cast(Period, period)


def _change(
    period: Period, status: PeriodStatus, by: User, note: str, digest: bytes | None = None
) -> PeriodChange:
    made = PeriodChange.objects.create(
        period=period, status=status, actor=by.get_username(), user=by, note=note[:300], digest=digest
    )
    made.refresh_from_db()
    audit.record(ACTS[status], period, by=by, reason=note)
    return made
