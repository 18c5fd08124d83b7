"""What people do about prices: give one by hand and confirm it, and close the breaker; a treasurer each, two for either."""

from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from payments.models import (
    ManualPrice,
    Membership,
    PriceBreaker,
    PriceRule,
    PriceSource,
    PriceStatus,
    Role,
    SourceKind,
)
from payments.payout import alarms
from payments.prices import manual, reading, watch
from payments.services import authority

KEEPERS = (Role.TREASURER,)
MAX_NOTE = 300


class PriceChanged(Conflict):
    """Somebody else has meanwhile named another price, or it was withdrawn: look again."""

    code = "price_changed"


class PriceDecided(Conflict):
    """The price was confirmed or withdrawn before."""

    code = "price_decided"


class BreakerClosed(Conflict):
    """The breaker was closed before."""

    code = "breaker_closed"


class NobodyAsked(Conflict):
    """Nobody has asked yet for the breaker to be closed."""

    code = "nobody_asked"


def may_keep(user: User) -> bool:
    """Say whether the user gives prices and closes breakers: a treasurer of any program."""
    return user.is_active and Membership.objects.filter(user_id=user.pk, role__in=KEEPERS).exists()


@transaction.atomic
def give(*, by: User, source_id: int, price: str, note: str) -> ManualPrice:
    """Say what a bitcoin costs now, in major units; it counts once another treasurer has confirmed it.

    The note says where it comes from. Raises RoleMissing, and InvalidInput for what is no manual source, or no price, or is
    beyond floor and ceiling.
    """
    _require(by)
    source = PriceSource.objects.filter(pk=source_id, kind=SourceKind.MANUAL, ended_at=None).first()
    if source is None:
        raise InvalidInput.of("source_id", "unknown_source", "There is no such source of manual prices.")
    found = _read(source.currency, price)
    _require_note(note)
    made = ManualPrice.objects.create(
        source=source, price=found, note=note.strip(), given_by=by, given_at=timezone.now()
    )
    audit.record("manual_price.give", made, by=by, reason=made.note)
    return made


@transaction.atomic
def confirm(*, by: User, manual_price_id: int, price: str) -> ManualPrice:
    """Stand, as a second person, for a price that somebody gave; ``price`` is what one has seen.

    Raises RoleMissing, NotFound, SamePersonTwice, PriceDecided, PriceChanged.
    """
    _require(by)
    row = _lock_price(manual_price_id)
    if row.given_by_id == by.pk:
        raise SamePersonTwice("Somebody else than the person who gave the price must confirm it.")
    if row.state != "given":
        raise PriceDecided(f"The price is {row.state} already.", state=row.state)
    if _read(row.source.currency, price) != row.price:
        raise PriceChanged("This is not the price that was given; look again.")
    was = audit.digest(row)
    row.confirmed_by, row.confirmed_at = by, timezone.now()
    manual.sign(row)
    row.save(update_fields=["confirmed_by", "confirmed_at", "key_id", "mac"])
    _look_soon(row.source.currency)
    audit.record("manual_price.confirm", row, by=by, before=was)
    return row


@transaction.atomic
def withdraw(*, by: User, manual_price_id: int, note: str) -> ManualPrice:
    """Let a price count no more, for a reason; any treasurer alone, because less is believed then. Raises as `confirm`."""
    _require(by)
    row = _lock_price(manual_price_id)
    if row.state == "withdrawn":
        raise PriceDecided("The price is withdrawn already.", state=row.state)
    _require_note(note)
    was = audit.digest(row)
    row.withdrawn_by, row.withdrawn_at = by, timezone.now()
    row.save(update_fields=["withdrawn_by", "withdrawn_at"])
    _look_soon(row.source.currency)
    audit.record("manual_price.withdraw", row, by=by, reason=note, before=was)
    return row


@transaction.atomic
def ask_to_close(*, by: User, breaker_id: int, price: str, note: str) -> PriceBreaker:
    """Ask for an open breaker to be closed, and name the price from which jumps are measured then.

    Another treasurer confirms it. A later request takes the place of an earlier one. Raises RoleMissing, NotFound,
    BreakerClosed, and InvalidInput as `give`.
    """
    _require(by)
    row = _lock_breaker(breaker_id)
    found = _read(row.rule.currency, price)
    _require_note(note)
    was = audit.digest(row)
    row.close_price, row.close_note = found, note.strip()
    row.asked_by, row.asked_at = by, timezone.now()
    row.save(update_fields=["close_price", "close_note", "asked_by", "asked_at"])
    audit.record("price_breaker.ask_to_close", row, by=by, reason=row.close_note, before=was)
    return row


@transaction.atomic
def close(*, by: User, breaker_id: int, price: str) -> PriceBreaker:
    """Close a breaker as a second person, at the price that one has seen; it is the last accepted one from now on.

    Where the sources do not agree with it, the next look opens another. Raises RoleMissing, NotFound, BreakerClosed,
    NobodyAsked, SamePersonTwice, PriceChanged.
    """
    _require(by)
    row = _lock_breaker(breaker_id)
    if row.close_price is None:
        raise NobodyAsked("Nobody has asked for it to be closed; ask, and another treasurer confirms.")
    if row.asked_by_id == by.pk:
        raise SamePersonTwice("Somebody else than the person who asked must close it.")
    if _read(row.rule.currency, price) != row.close_price:
        raise PriceChanged("This is not the price at which somebody asked to close it; look again.")
    was = audit.digest(row)
    row.closed_by, row.closed_at = by, timezone.now()
    row.save(update_fields=["closed_by", "closed_at"])
    PriceStatus.objects.filter(rule=row.rule).update(
        accepted_price=row.close_price, accepted_at=row.closed_at, due_at=Now()
    )
    audit.record("price_breaker.close", row, by=by, before=was)
    alarms.clear(
        watch.OPEN, subject=watch.SUBJECT, subject_id=row.rule_id, note="Two people closed the breaker."
    )
    return row


def _lock_price(pk: int) -> ManualPrice:
    rows = ManualPrice.objects.select_for_update(of=("self",)).select_related("source")
    row = rows.filter(pk=pk).first()
    if row is None:
        raise NotFound("There is no such manual price.")
    return row


def _lock_breaker(pk: int) -> PriceBreaker:
    """Lock the rule, which the watch locks too, and then the breaker."""
    PriceRule.objects.select_for_update(no_key=True).filter(breakers=pk).first()
    row = PriceBreaker.objects.select_for_update(of=("self",)).select_related("rule").filter(pk=pk).first()
    if row is None:
        raise NotFound("There is no such breaker.")
    if not row.is_open:
        raise BreakerClosed("The breaker was closed before.")
    return row


def _read(currency: str, text: str) -> Decimal:
    """Return a price that a person wrote; raise InvalidInput unless it is one, within floor and ceiling."""
    try:
        found = reading.price(text)
    except reading.Unreadable as error:
        raise InvalidInput.of("price", error.fault, error.message) from error
    rule = PriceRule.objects.filter(currency=currency).first()
    if rule is None or not rule.floor <= found <= rule.ceiling:
        bounds = "nobody made a rule for it yet" if rule is None else f"it is beyond {_bounds(rule)}"
        raise InvalidInput.of("price", "price_out_of_bounds", f"This is no price in {currency}: {bounds}.")
    return found


def _bounds(rule: PriceRule) -> str:
    return f"floor and ceiling, {reading.grouped(rule.floor)} and {reading.grouped(rule.ceiling)}"


def _look_soon(currency: str) -> None:
    PriceStatus.objects.filter(rule__currency=currency).update(due_at=Now())


def _require(by: User) -> None:
    if not may_keep(by):
        raise authority.RoleMissing("This needs the role of treasurer in a program.", roles=list(KEEPERS))


def _require_note(note: str) -> None:
    if not note.strip():
        raise InvalidInput.of("note", "missing", "Say why, and where it comes from.")
    if len(note.strip()) > MAX_NOTE:
        raise InvalidInput.of("note", "too_long", f"The note has more than {MAX_NOTE} characters.")
