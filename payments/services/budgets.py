"""Opens and closes fiscal periods of a program's budget, and moves their allotment and cash by warrants of two people.

A program is held to budgets from its first period on; before that nothing asks for one. What lists hold of a period is
in ``payments.payout.commitments``. Of a program of money all of it is in minor units, and cash that is released is booked.
"""

from datetime import date, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound, SamePersonTwice
from ledger import audit, books, conversion
from payments.models import BudgetPeriod, Program, Role, Warrant, WarrantKind
from payments.models.history import move
from payments.onchain import amount
from payments.payout import commitments
from payments.payout.commitments import OverAllotment, OverCashRelease
from payments.services import authority, interventions, units
from payments.states import StatusConflict, WarrantStatus

MAX_NOTE = 300
MAX_NAME = 40
PROPOSERS = (Role.OFFICER,)
DECIDERS = (Role.TREASURER,)
_TOTALS = {WarrantKind.ALLOTMENT: "allotted_sat", WarrantKind.CASH_RELEASE: "cash_released_sat"}


class PeriodOverlaps(Conflict):
    """Another open period of the program has some of the days, or any period has the name."""

    code = "budget_period_overlaps"


class PeriodClosed(Conflict):
    """Somebody closed the period: nothing is added to it any more."""

    code = "budget_period_closed"


def fiscal_year(day: date) -> tuple[date, date]:
    """Return the first and the last day of the fiscal year (GOVPAY_FISCAL_YEAR_MONTH) that a day is in."""
    month = settings.LEDGER_FISCAL_YEAR_MONTH
    first = date(day.year if day.month >= month else day.year - 1, month, 1)
    return first, first.replace(year=first.year + 1) - timedelta(days=1)


@transaction.atomic
def open_period(*, by: User, program_id: int, name: str, first_date: date, last_date: date) -> BudgetPeriod:
    """Open a period with nothing allotted; with the first one the program is held to budgets from then on.

    Raises NotFound, RoleMissing, InvalidInput, PeriodOverlaps.
    """
    authority.require(user=by, program_id=program_id, roles=DECIDERS)
    name = name.strip()
    if not name or len(name) > MAX_NAME:
        raise InvalidInput.of(
            "name", "missing" if not name else "too_long", f"Give a name of 1 to {MAX_NAME} characters."
        )
    if last_date < first_date:
        raise InvalidInput.of("last_date", "days_reversed", "The last day comes before the first.")
    # One at a time; the constraints stand behind it.
    Program.objects.select_for_update(no_key=True).get(pk=program_id)
    others = BudgetPeriod.objects.filter(program_id=program_id)
    if others.filter(name=name).exists():
        raise PeriodOverlaps(f"The program has a period {name} already.", period=name)
    other = others.filter(closed_at=None, first_date__lte=last_date, last_date__gte=first_date).first()
    if other is not None:
        raise PeriodOverlaps(
            f"{other} is open from {other.first_date} to {other.last_date}; no day is in two open periods.",
            budget_period_id=other.pk,
            period=other.name,
        )
    made = BudgetPeriod.objects.create(
        program_id=program_id, name=name, first_date=first_date, last_date=last_date, opened_by=by
    )
    audit.record("budget_period.open", made, by=by, scope=made.program.scope)
    return made


@transaction.atomic
def close_period(*, by: User, budget_period_id: int, note: str) -> BudgetPeriod:
    """Close a period for good, for a reason: nothing more is allotted, committed or spent in it.

    What lists give back still comes back. Raises NotFound, RoleMissing, InvalidInput, PeriodClosed.
    """
    period = get_period(user=by, budget_period_id=budget_period_id)
    authority.require(user=by, program_id=period.program_id, roles=DECIDERS)
    _require_note(note)
    _require_not_closed(commitments.lock(period.pk))
    was = audit.digest(period)
    BudgetPeriod.objects.filter(pk=period.pk).update(
        closed_by=by, closed_at=timezone.now(), close_note=note.strip()
    )
    audit.record("budget_period.close", period, by=by, scope=period.program.scope, reason=note, before=was)
    return get_period(user=by, budget_period_id=budget_period_id)


@transaction.atomic
def propose(
    *,
    by: User,
    budget_period_id: int,
    kind: str,
    note: str,
    amount_sat: int | None = None,
    amount_minor: int | None = None,
) -> Warrant:
    """Propose to add to a period's allotment or cash, or with a negative amount to withdraw; a treasurer confirms it.

    Raises NotFound, RoleMissing, InvalidInput, PeriodClosed.
    """
    period = get_period(user=by, budget_period_id=budget_period_id)
    authority.require(user=by, program_id=period.program_id, roles=PROPOSERS)
    program = period.program
    asked = units.own(program, "amount", sat=amount_sat, minor=amount_minor)
    if not asked or abs(asked) > amount.MAX_SAT:
        raise InvalidInput.of(
            f"amount_{program.unit}",
            "amount_zero" if not asked else "amount_too_large",
            f"Give {program.unit_words} to add, or with a minus to withdraw; not zero, and no more than there are.",
        )
    _require_note(note)
    _require_not_closed(period)
    made = Warrant.objects.create(
        period=period, kind=WarrantKind(kind), amount_sat=asked, note=note.strip(), proposed_by=by
    )
    audit.record("warrant.propose", made, by=by, scope=period.program.scope, reason=note)
    return made


@transaction.atomic
def confirm(*, by: User, warrant_id: int, note: str = "") -> Warrant:
    """Agree, as a treasurer and somebody else than who proposed it: the period's total moves.

    Raises NotFound, RoleMissing, SamePersonTwice, StatusConflict, PeriodClosed, and OverAllotment or OverCashRelease
    with the figures where less would be allotted than is committed or released, or less released than is spent.
    """
    found = _lock(by, warrant_id)
    _require_other_treasurer(found, by)
    period = commitments.lock(found.period_id)
    _require_not_closed(period)
    _require_holds(period, found)
    column = _TOTALS[WarrantKind(found.kind)]
    BudgetPeriod.objects.filter(pk=period.pk).update(**{column: commitments.more(column, found.amount_sat)})
    _decide(found, by, WarrantStatus.CONFIRMED, note, act="warrant.confirm")
    if found.kind == WarrantKind.CASH_RELEASE and not found.period.program.pays_sat:
        books.post([_cash(found, by)])
    # A list that a reorganization left short is filled first.
    commitments.follow(
        list(period.commitments.filter(missing_sat__gt=0).values_list("disbursement", flat=True))
    )
    return get_warrant(user=by, warrant_id=warrant_id)


@transaction.atomic
def reject(*, by: User, warrant_id: int, note: str) -> Warrant:
    """Refuse, as a treasurer and for a reason, what somebody else proposed; no total moves."""
    found = _lock(by, warrant_id)
    _require_other_treasurer(found, by)
    _require_note(note)
    _decide(found, by, WarrantStatus.REJECTED, note, act="warrant.reject")
    return get_warrant(user=by, warrant_id=warrant_id)


@transaction.atomic
def withdraw(*, by: User, warrant_id: int, note: str) -> Warrant:
    """Take back, for a reason, what one proposed oneself and nobody has decided yet.

    Raises NotFound, NotTheProposer, InvalidInput, StatusConflict.
    """
    found = _lock(by, warrant_id)
    if by.pk != found.proposed_by_id:
        raise interventions.NotTheProposer("Only who proposed it takes it back; a treasurer rejects it.")
    _require_note(note)
    was = audit.digest(found)
    move(
        Warrant.objects.filter(pk=found.pk),
        old=WarrantStatus.PROPOSED,
        new=WarrantStatus.WITHDRAWN,
        actor_id=by.pk,
        note=note.strip(),
    )
    _record("warrant.withdraw", found, by, note, was)
    return get_warrant(user=by, warrant_id=warrant_id)


def get_period(*, user: User, budget_period_id: int) -> BudgetPeriod:
    """Return a period of a program that the user belongs to; raise NotFound otherwise."""
    mine = BudgetPeriod.objects.filter(program__memberships__user_id=user.pk)
    found = mine.select_related("program", "opened_by", "closed_by").distinct()
    period = found.filter(pk=budget_period_id).first()
    if period is None:
        raise NotFound("There is no such budget period in your programs.")
    return period


def get_warrant(*, user: User, warrant_id: int) -> Warrant:
    """Return a warrant of a program that the user belongs to; raise NotFound otherwise."""
    mine = Warrant.objects.filter(period__program__memberships__user_id=user.pk)
    found = mine.select_related("period__program", "proposed_by", "decided_by").distinct()
    warrant = found.filter(pk=warrant_id).first()
    if warrant is None:
        raise NotFound("There is no such warrant in your programs.")
    return warrant


def _lock(by: User, warrant_id: int) -> Warrant:
    found = get_warrant(user=by, warrant_id=warrant_id)
    locked = Warrant.objects.select_for_update(of=("self",)).select_related("period__program")
    return locked.get(pk=found.pk)


def _require_other_treasurer(found: Warrant, by: User) -> None:
    authority.require(user=by, program_id=found.period.program_id, roles=DECIDERS)
    if by.pk == found.proposed_by_id:
        raise SamePersonTwice("Somebody else than the person who proposed it must decide.")
    if found.status != WarrantStatus.PROPOSED:
        raise StatusConflict(
            f"The warrant is {found.status} already.",
            subject="warrant",
            status=found.status,
            needed="proposed",
        )


def _require_holds(period: BudgetPeriod, found: Warrant) -> None:
    """Raise unless the period still holds what is committed, released and spent once the warrant is in force."""
    asked = {"asked_sat": found.amount_sat, **commitments.figures(period)}
    if found.kind == WarrantKind.ALLOTMENT:
        after_sat = period.allotted_sat + found.amount_sat
        held_sat = max(period.committed_sat, period.cash_released_sat)
        if after_sat < held_sat:
            raise OverAllotment(
                f"{after_sat} sat would be allotted to {period}, where {period.committed_sat} sat are committed and "
                f"{period.cash_released_sat} sat released as cash.",
                **asked,
            )
        return
    after_sat = period.cash_released_sat + found.amount_sat
    if after_sat > period.allotted_sat:
        raise OverAllotment(
            f"{after_sat} sat would be released as cash in {period}, where {period.allotted_sat} sat are allotted.",
            **asked,
        )
    if after_sat < period.spent_sat:
        raise OverCashRelease(
            f"{after_sat} sat would be released as cash in {period}, where {period.spent_sat} sat are spent.",
            **asked,
        )


def _cash(found: Warrant, by: User) -> books.Draft:
    return conversion.cash_release(
        program_id=found.period.program_id,
        warrant_id=found.pk,
        amount_minor=found.amount_sat,
        effective_at=timezone.now(),
        actor=found.proposed_by.get_username(),
        approver=by.get_username(),
    )


def _record(act: str, found: Warrant, by: User, note: str, was: bytes | None) -> None:
    audit.record(act, found, by=by, scope=found.period.program.scope, reason=note, before=was)


def _decide(found: Warrant, by: User, new: str, note: str, *, act: str) -> None:
    if len(note.strip()) > MAX_NOTE:
        raise InvalidInput.of("note", "too_long", f"Use at most {MAX_NOTE} characters.")
    was = audit.digest(found)
    move(
        Warrant.objects.filter(pk=found.pk),
        old=WarrantStatus.PROPOSED,
        new=new,
        actor_id=by.pk,
        note=note.strip(),
        decided_by_id=by.pk,
        decided_at=timezone.now(),
    )
    _record(act, found, by, note, was)


def _require_not_closed(period: BudgetPeriod) -> None:
    if not period.is_open:
        raise PeriodClosed(f"{period} was closed.", budget_period_id=period.pk, period=period.name)


def _require_note(note: str) -> None:
    if not note.strip():
        raise InvalidInput.of("note", "missing", "Say why.")
    if len(note.strip()) > MAX_NOTE:
        raise InvalidInput.of("note", "too_long", f"Use at most {MAX_NOTE} characters.")
