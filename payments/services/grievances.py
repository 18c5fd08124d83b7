"""Takes, links and answers grievances; whoever lodged one follows it by its number and a secret (``grievance_replies``).

People lodge them at the public page or at the help desk. The page never says whether a reference or an id is known: it takes
whatever is lodged, and marks what fits together (A37).
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, Forbidden, InvalidInput, NotFound
from ledger import audit
from payments.models import Approval, Enrollment, Finding, Grievance, Payment, Program, Role, history
from payments.models.history import move
from payments.payout import alarms
from payments.services import authority, enrolled, grievance_clock, grievance_words, tickets
from payments.states import GRIEVANCE_OPEN, GrievanceStatus, StatusConflict

# Who hears people and answers them; whoever had a part in a list answers nothing about its payments.
HANDLERS = (Role.HELPDESK, Role.OFFICER)


class GrievanceAboutYou(Forbidden):
    """The grievance is about a payment of a list that the user made, approved or released."""

    code = "grievance_about_you"


class GrievanceNotOwned(Conflict):
    """The grievance has another owner, or none yet."""

    code = "grievance_not_owned"


class Lodged(NamedTuple):
    """A new grievance, and the secret by which it is followed, which is shown once."""

    grievance: Grievance
    secret: str


@transaction.atomic
def lodge(
    *,
    by: User,
    program_id: int,
    category: str,
    text: str,
    contact: str = "",
    enrollment_id: int | None = None,
    payment_id: int | None = None,
    received_sat: int | None = None,
    now: datetime | None = None,
) -> Lodged:
    """Take down at the help desk what a person says, who has shown there who they are if ``enrollment_id`` names them.

    Raises NotFound, RoleMissing, InvalidInput with one error a field.
    """
    authority.require(user=by, program_id=program_id, roles=HANDLERS)
    program = Program.objects.get(pk=program_id)
    row = Grievance(program=program, category=category, received_sat=received_sat, lodged_by=by)
    _link(row, enrollment_id, payment_id)
    row.is_proved = enrollment_id is not None
    return _store(row, text, contact, now)


@transaction.atomic
def lodge_in_person(
    *,
    program_id: int,
    reference: str,
    national_id: str,
    category: str,
    text: str,
    contact: str = "",
    received_sat: int | None = None,
    now: datetime | None = None,
) -> Lodged:
    """Take what somebody lodges at the public page, whoever it is, as about the newest payment of who proves who they are.

    The answer is the same whether reference and id are known or not. Raises InvalidInput for what is malformed.
    """
    program = Program.objects.filter(pk=program_id).first()
    if program is None:
        raise InvalidInput.of("program", "program_unknown", "Choose one of the programs.")
    row = Grievance(program=program, category=category, received_sat=received_sat)
    found = enrolled.prove(program, reference, national_id)
    if found is not None:
        row.enrollment, row.is_proved = found, True
        row.payment = enrolled.released_to(found).order_by("-pk").first()
    return _store(row, text, contact, now)


def _store(row: Grievance, text: str, contact: str, now: datetime | None) -> Lodged:
    grievance_words.check(row, text, contact)
    secret = tickets.make()
    row.said = {"text": text.strip(), "contact": contact.strip()}
    row.secret_hash = tickets.digest(secret)
    row.lodged_at = now or timezone.now()
    row.due_at = row.lodged_at + timedelta(days=row.program.grievance_due_days)
    row.save(force_insert=True)
    history.begin(row, reason="somebody lodged it", actor_id=row.lodged_by_id)
    audit.record("grievance.lodge", row, by=row.lodged_by, scope=row.program.scope)
    return Lodged(row, secret)


@transaction.atomic
def take(*, by: User, grievance_id: int) -> Grievance:
    """Become the owner of an open grievance, whoever had it before.

    Raises NotFound, RoleMissing, GrievanceAboutYou for who had a part in the payment's list, StatusConflict.
    """
    row, before = _lock(by, grievance_id)
    _require_apart(row, by)
    if row.status == GrievanceStatus.LODGED:
        move_on(row, GrievanceStatus.WORKING, by=by, owner=by)
    elif row.status == GrievanceStatus.WORKING:
        Grievance.objects.filter(pk=row.pk).update(owner=by)
    else:
        raise _closed(row)
    return recorded("grievance.take", row, by=by, before=before)


@transaction.atomic
def link(
    *, by: User, grievance_id: int, enrollment_id: int | None = None, payment_id: int | None = None
) -> Grievance:
    """Say which person and which payment of the program an open grievance is about; its owner does so.

    Raises NotFound, RoleMissing, GrievanceNotOwned, StatusConflict, InvalidInput for a payment of another person. Whoever
    had a part in the list that it is about says nothing else of it: GrievanceAboutYou.
    """
    row, before = _lock(by, grievance_id)
    _require_owned(row, by)
    _require_apart(row, by)
    _link(row, enrollment_id, payment_id)
    row.save(update_fields=["enrollment", "payment"])
    return recorded("grievance.link", row, by=by, before=before)


@transaction.atomic
def answer(*, by: User, grievance_id: int, finding: str, text: str, now: datetime | None = None) -> Grievance:
    """Answer a grievance that one owns; the person reads it by number and secret.

    Raises GrievanceNotOwned, GrievanceAboutYou for who had a part in the list, StatusConflict, InvalidInput.
    """
    row, before = _lock(by, grievance_id)
    _require_owned(row, by)
    if finding not in Finding.values:
        raise InvalidInput.of("finding", "finding_unknown", "Say whether it is upheld, in part, or not.")
    grievance_words.require_text("text", text, grievance_words.MOST_TEXT)
    _require_apart(row, by)
    at = now or timezone.now()
    move_on(
        row,
        GrievanceStatus.ANSWERED,
        by=by,
        finding=finding,
        answer={"text": text.strip()},
        answered_at=at,
    )
    alarms.clear(grievance_clock.OVERDUE, subject="grievance", subject_id=row.pk, note="It is answered.")
    return recorded("grievance.answer", row, by=by, before=before)


def _lock(by: User, grievance_id: int) -> tuple[Grievance, bytes | None]:
    """Return a grievance of the user's programs, locked, and the digest of what it is now."""
    mine = Grievance.objects.filter(pk=grievance_id, program__memberships__user_id=by.pk)
    found = mine.values_list("program_id", flat=True).first()
    if found is None:
        raise NotFound("There is no such grievance in your programs.")
    authority.require(user=by, program_id=found, roles=HANDLERS)
    return locked(grievance_id)


def locked(grievance_id: int) -> tuple[Grievance, bytes | None]:
    """Return a grievance, locked, and the digest of what it is now."""
    rows = Grievance.objects.select_for_update(of=("self",)).select_related(
        "program", "payment__disbursement"
    )
    row = rows.get(pk=grievance_id)
    return row, audit.digest(row)


def move_on(row: Grievance, new: str, *, by: User | None = None, **changes: Any) -> None:
    """Change the status of a locked grievance, with other columns; raise StatusConflict where there is no such arrow."""
    actor_id = None if by is None else by.pk
    move(Grievance.objects.filter(pk=row.pk), old=row.status, new=new, actor_id=actor_id, **changes)


def recorded(action: str, row: Grievance, *, by: User | None = None, before: bytes | None) -> Grievance:
    """Record an act of a handler or of the person, and return what the grievance is now."""
    audit.record(action, row, by=by, scope=row.program.scope, before=before)
    return Grievance.objects.select_related("program", "owner", "payment__payout", "enrollment").get(
        pk=row.pk
    )


def _require_owned(row: Grievance, by: User) -> None:
    if not row.is_open:
        raise _closed(row)
    if row.owner_id != by.pk:
        raise GrievanceNotOwned("Take the grievance first: its owner works on it.")


def _closed(row: Grievance) -> StatusConflict:
    return StatusConflict(
        f"The grievance is {row.status}.", subject="grievance", status=row.status, needed=list(GRIEVANCE_OPEN)
    )


def is_about(row: Grievance, user: User) -> bool:
    """Tell whether the user made, approved or released the list of the payment that a grievance is about."""
    return row.payment is not None and user.pk in _people_of(row.payment)


def _require_apart(row: Grievance, by: User) -> None:
    if is_about(row, by):
        raise GrievanceAboutYou("Somebody who had no part in the payment's list answers this.")


def _people_of(payment: Payment) -> set[int]:
    """Return everybody who had a part in a payment's list."""
    disbursement = payment.disbursement
    spoke = Approval.objects.filter(disbursement=disbursement).values_list("user_id", flat=True)
    return {disbursement.made_by_id, *spoke}


def _link(row: Grievance, enrollment_id: int | None, payment_id: int | None) -> None:
    if enrollment_id is not None:
        row.enrollment = Enrollment.objects.filter(pk=enrollment_id, program_id=row.program_id).first()
        if row.enrollment is None:
            raise InvalidInput.of(
                "enrollment_id", "enrollment_unknown", "Nobody in the program is enrolled so."
            )
    if payment_id is None:
        if row.payment is not None and not _is_theirs(row):
            row.payment = None
        return
    paid = Payment.objects.select_related("disbursement", "payout")
    row.payment = paid.filter(pk=payment_id, disbursement__program_id=row.program_id).first()
    if row.payment is None or not _is_theirs(row):
        raise InvalidInput.of(
            "payment_id", "payment_unknown", "The program has no such payment to this person."
        )


def _is_theirs(row: Grievance) -> bool:
    assert row.payment is not None
    return row.enrollment is None or row.payment.beneficiary_id == row.enrollment.beneficiary_id
