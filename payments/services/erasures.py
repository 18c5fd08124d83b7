"""Destroys what is known of a person once two people agree, and leaves what the books and the chain need.

What goes: name and telephone, the words of appeals and grievances, notes on consent, and each enrollment with its
reference. What stays names nobody: the keyed hash of the national id, so that nobody is paid twice by being erased and
enrolled anew; the scripts that were paid, which blocks and manifests hold; amounts, lists, and who decided what (ADR 45).
What the law wants kept of large payments ends by its own time (ADR 60).
"""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from govpay.errors import Conflict, Forbidden, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from payments.models import (
    Appeal,
    AppealOutcome,
    BankAccount,
    Beneficiary,
    ChangeOutcome,
    ClaimLink,
    Consent,
    Destination,
    DestinationChange,
    Election,
    Enrollment,
    Erasure,
    ErasureOutcome,
    Grievance,
    Membership,
    Message,
    Payment,
    PersonCode,
    Role,
    TrustLeg,
)
from payments.services import authority, intake, registry
from payments.states import LegStatus, PaymentStatus, PayoutStatus

PERMISSION = "payments.change_erasure"
MAX_NOTE = 300
# Bitcoin that a trust got, and whose person its bank has not paid.
OWED = (LegStatus.OWED, LegStatus.INSTRUCTED)
NOTHING_KNOWN = {"full_name": "", "phone": ""}


class ErasureOpen(Conflict):
    """An erasure of this person waits for its decision."""

    code = "erasure_open"


class ErasureDecided(Conflict):
    """The erasure was decided already."""

    code = "erasure_decided"


class PaymentsOpen(Conflict):
    """The person is still owed something, or a payment to them may still change; ``payments`` says how many."""

    code = "payments_open"


class DecisionsOpen(Conflict):
    """An appeal, a grievance or a change of address of the person waits for its end."""

    code = "decisions_open"


@transaction.atomic
def ask(*, by: User, enrollment_id: int, note: str) -> Erasure:
    """Ask that what is known of a person is destroyed, in every program; another person must agree.

    Raises NotFound, RoleMissing, InvalidInput without a reason, ErasureOpen, PaymentsOpen, DecisionsOpen.
    """
    found = Enrollment.objects.filter(pk=enrollment_id, program__memberships__user_id=by.pk).first()
    if found is None:
        raise NotFound("There is no such enrollment in your programs.")
    authority.require(user=by, program_id=found.program_id, roles=(Role.OFFICER,))
    _require_note(note)
    _hold(found.beneficiary_id)
    if Erasure.objects.filter(beneficiary_id=found.beneficiary_id, outcome=ErasureOutcome.OPEN).exists():
        raise ErasureOpen("Another erasure of this person is to be decided first.")
    _require_nothing_open(found.beneficiary_id)
    made = Erasure.objects.create(
        program_id=found.program_id, beneficiary_id=found.beneficiary_id, note=note, asked_by=by
    )
    audit.record("erasure.ask", made, by=by, scope=f"program:{made.program_id}")
    return made


@transaction.atomic
def confirm(*, by: User, erasure_id: int, note: str, now: datetime | None = None) -> Erasure:
    """Agree as a second person, with the permission PERMISSION: it is done with this, and cannot be undone.

    Raises NotFound, Forbidden, SamePersonTwice, ErasureDecided, PaymentsOpen, DecisionsOpen, InvalidInput.
    """
    erasure = _open(by, erasure_id)
    _require_second(erasure, by)
    _require_nothing_open(erasure.beneficiary_id)
    done = _decide(erasure, by, ErasureOutcome.ERASED, note, now or timezone.now(), act="erasure.confirm")
    _destroy(erasure.beneficiary_id, done.decided_at)
    return done


@transaction.atomic
def refuse(*, by: User, erasure_id: int, note: str) -> Erasure:
    """Refuse as a second person, for a reason; nothing else changes."""
    erasure = _open(by, erasure_id)
    _require_second(erasure, by)
    return _decide(erasure, by, ErasureOutcome.REFUSED, note, timezone.now(), act="erasure.refuse")


@transaction.atomic
def withdraw(*, by: User, erasure_id: int, note: str) -> Erasure:
    """Take back what one asked for oneself."""
    erasure = _open(by, erasure_id)
    if erasure.asked_by_id != by.pk:
        raise authority.RoleMissing("Only who asked for the erasure may withdraw it; refuse it instead.")
    return _decide(erasure, by, ErasureOutcome.WITHDRAWN, note, timezone.now(), act="erasure.withdraw")


def may_decide(user: User, erasure: Erasure) -> bool:
    """Say whether the user may agree or refuse: a member with the permission, and not who asked."""
    is_member = Membership.objects.reading(user).filter(program_id=erasure.program_id).exists()
    return is_member and user.has_perm(PERMISSION) and user.pk != erasure.asked_by_id


def flag(faults: intake.Faults) -> None:
    """Note which people of the staging table were erased and are about to be enrolled anew."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.row FROM staged_person s JOIN payments_beneficiary b ON b.identity_hash = s.identity_hash"
            " WHERE NOT s.is_bad AND b.erased_at IS NOT NULL ORDER BY s.row LIMIT %s",
            [faults.room],
        )
        for (row,) in cursor.fetchall():
            faults.add(
                row,
                "national_id",
                "person_erased",
                "What was known of the person was erased; they are enrolled anew, at an address that cools first.",
            )


def _destroy(beneficiary_id: int, at: datetime | None) -> None:
    Beneficiary.objects.filter(pk=beneficiary_id).update(personal=NOTHING_KNOWN, erased_at=at)
    Appeal.objects.filter(beneficiary_id=beneficiary_id).update(words={"lodged_by": "", "text": ""})
    Consent.objects.filter(beneficiary_id=beneficiary_id).exclude(note="").update(note="")
    Destination.objects.filter(beneficiary_id=beneficiary_id, is_current=True).update(is_current=False)
    # What a bank was told stays in the files that it has. The number's keyed hash stays too: lists were agreed to by it.
    BankAccount.objects.filter(beneficiary_id=beneficiary_id).update(account={}, is_current=False, note="")
    grievances = _grievances(beneficiary_id)
    grievances.exclude(answer=None).update(answer={"text": ""})
    grievances.update(said={"text": "", "contact": ""}, enrollment=None)
    # Nothing waits for the person, so that no link of theirs leads anywhere.
    of_link = Q(link__enrollment__beneficiary_id=beneficiary_id)
    Message.objects.filter(of_link | Q(person_code__enrollment__beneficiary_id=beneficiary_id)).delete()
    # Legs are of what they elected, which stays, as codes do with which they said it; whose it was does not.
    enrolled = list(Enrollment.objects.filter(beneficiary_id=beneficiary_id).values_list("pk", flat=True))
    Election.objects.filter(enrollment__in=enrolled).update(enrollment=None, note="")
    PersonCode.objects.filter(enrollment__in=enrolled).update(enrollment=None)
    ClaimLink.objects.filter(enrollment__beneficiary_id=beneficiary_id).delete()
    Enrollment.objects.filter(beneficiary_id=beneficiary_id).delete()


def _grievances(beneficiary_id: int) -> QuerySet[Grievance]:
    """Return what was complained of about the person's enrollments or payments."""
    mine = Q(enrollment__beneficiary=beneficiary_id) | Q(payment__beneficiary=beneficiary_id)
    # By their own numbers: an update cannot join.
    return Grievance.objects.filter(pk__in=list(Grievance.objects.filter(mine).values_list("pk", flat=True)))


def _hold(beneficiary_id: int) -> None:
    """Keep the registry and the person still: a list that names them is submitted before this, or refused after it."""
    registry.lock_to_erase()
    Beneficiary.objects.select_for_update().only("pk").get(pk=beneficiary_id)


def _require_nothing_open(beneficiary_id: int) -> None:
    paid = Q(payout__status=PayoutStatus.SETTLED) | Q(settled_at__isnull=False)
    reissued = Payment.objects.filter(reissue_of=OuterRef("pk")).exclude(status=PaymentStatus.CANCELLED)
    owed = Payment.objects.filter(beneficiary_id=beneficiary_id).filter(
        Q(status__in=[PaymentStatus.PENDING, PaymentStatus.HELD]) & ~paid
        | Q(status=PaymentStatus.VOIDED) & ~Exists(reissued)
    )
    if count := owed.count():
        raise PaymentsOpen(
            f"Payments to the person are neither settled nor withdrawn: {count}.", payments=count
        )
    # Without an account nobody could be paid what a trust owes them.
    by_trusts = TrustLeg.objects.filter(payment__beneficiary_id=beneficiary_id, status__in=OWED)
    if count := by_trusts.count():
        raise PaymentsOpen(f"Trusts owe the person currency for payments: {count}.", payments=count)
    standing = {
        "appeal": Appeal.objects.filter(beneficiary_id=beneficiary_id, outcome=AppealOutcome.OPEN),
        "change of address": DestinationChange.objects.filter(
            beneficiary_id=beneficiary_id, outcome=ChangeOutcome.OPEN
        ),
        "grievance": _grievances(beneficiary_id).filter(ended_at=None),
    }
    found = [
        f"{what} {pk}"
        for what, rows in standing.items()
        for pk in rows.order_by("pk").values_list("pk", flat=True)
    ]
    if found:
        raise DecisionsOpen(f"To be ended first: {', '.join(found)}.", open=found)


def _open(by: User, erasure_id: int) -> Erasure:
    mine = Membership.objects.reading(by).values("program_id")
    found = Erasure.objects.filter(pk=erasure_id, program__in=mine).first()
    if found is None:
        raise NotFound("There is no such erasure in your programs.")
    _hold(found.beneficiary_id)
    erasure = Erasure.objects.select_for_update().get(pk=erasure_id)
    if erasure.outcome != ErasureOutcome.OPEN:
        raise ErasureDecided(f"The erasure is {erasure.outcome} already.", outcome=erasure.outcome)
    return erasure


def _require_second(erasure: Erasure, by: User) -> None:
    if not by.has_perm(PERMISSION):
        raise Forbidden(f"Deciding on an erasure needs the permission {PERMISSION}.")
    if erasure.asked_by_id == by.pk:
        raise SamePersonTwice("Somebody else than the person who asked for the erasure must decide.")


def _decide(erasure: Erasure, by: User, outcome: str, note: str, now: datetime, *, act: str) -> Erasure:
    _require_note(note)
    was = audit.digest(erasure)
    erasure.outcome = outcome
    erasure.decided_by, erasure.decided_at, erasure.decision_note = by, now, note
    erasure.save(update_fields=["outcome", "decided_by", "decided_at", "decision_note"])
    # The reason stays with the erasure: of a person who is to be forgotten not a word is written down twice.
    audit.record(act, erasure, by=by, scope=f"program:{erasure.program_id}", before=was)
    return erasure


def _require_note(note: str) -> None:
    if not note.strip():
        code, message = "missing", "Say why, without naming the person."
    elif len(note) > MAX_NOTE:
        code, message = "too_long", f"This is longer than {MAX_NOTE} characters."
    else:
        return
    raise InvalidInput.of("note", code, message)
