"""What people elect to be paid in: bitcoin, or a currency that a trust pays; and what they choose where it cannot."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from govpay.errors import InvalidInput, NotFound
from ledger import audit
from ledger.law import policy
from payments.models import (
    Election,
    ElectionChoice,
    Enrollment,
    HoldRule,
    Instead,
    LegRefusal,
    Payment,
    Program,
    Role,
    TrustLeg,
    TrustPurse,
)
from payments.services import authority, holds
from payments.services.rails import RailNeedsMoney
from payments.states import LegStatus, StatusConflict
from payments.trust import words

OFFICERS = (Role.OFFICER,)
MAX_NOTE = 300


@transaction.atomic
def elect(
    *, by: User, enrollment_id: int, choice: str, note: str, trust_id: int | None = None, currency: str = ""
) -> Election:
    """Write down what a person wants to be paid in from now on; lists that are submitted already stay as they are.

    The note says how the person told it. Raises NotFound, RoleMissing, InvalidInput for what no trust offers, and
    PolicyRefused where the law of the trust or the program does not let the state convert.
    """
    enrollment = Enrollment.objects.select_related("program").filter(pk=enrollment_id).first()
    if enrollment is None:
        raise NotFound("There is no such person in your programs.")
    authority.require(user=by, program_id=enrollment.program_id, roles=OFFICERS)
    if not note.strip() or len(note.strip()) > MAX_NOTE:
        raise InvalidInput.of(
            "note", "missing", f"Say in up to {MAX_NOTE} characters how the person told it."
        )
    purse = _purse(choice, trust_id, currency)
    made = Election(
        enrollment=enrollment,
        choice=choice,
        purse=purse,
        note=note.strip(),
        made_by=by,
        made_at=timezone.now(),
    )
    return keep(made)


def keep(made: Election) -> Election:
    """Sign and store what somebody elected; raise PolicyRefused where a law does not let the state convert for them."""
    assert made.enrollment is not None
    program = made.enrollment.program
    if made.purse is not None:
        require_lawful(made.purse, program, made.made_at)
    words.sign_election(made)
    made.save(force_insert=True)
    audit.record("election.make", made, by=made.made_by, scope=program.scope, reason=made.note)
    return made


def require_lawful(purse: TrustPurse, program: Program, at: datetime) -> None:
    """Raise PolicyRefused unless the laws of trust and program both let the state convert."""
    for profile in (purse.trust.policy_profile, program.policy_profile):
        policy.require(profile, policy.Rule.STATE_CONVERSION, at=at)


@transaction.atomic
def take_bitcoin(*, by: User, payment_id: int, note: str) -> Payment:
    """Let the person of a line that the trust did not take be paid in bitcoin: at their own address, by another list.

    The line is withdrawn, because people agreed to the trust's address on it, and the person elects bitcoin. Raises
    NotFound, RoleMissing, StatusConflict for a line that no trust refused, and as `holds.withdraw`.
    """
    payment, leg = _refused(by, payment_id)
    elect(by=by, enrollment_id=_enrollment(payment).pk, choice=ElectionChoice.BITCOIN, note=note)
    return _choose(by, payment_id, leg, Instead.BITCOIN, note)


@transaction.atomic
def take_voucher(*, by: User, payment_id: int, note: str) -> Payment:
    """Let the person of a line that the trust did not take be paid by voucher, on another list that is paid so.

    The line is withdrawn, which is proof that nothing of it is paid; what the person elected stays for later lists. Raises
    as `take_bitcoin`, and RailNeedsMoney in a program that owes satoshis.
    """
    payment, leg = _refused(by, payment_id)
    if payment.disbursement.program.pays_sat:
        raise RailNeedsMoney("The program owes satoshis, which no agent pays; the person takes bitcoin.")
    return _choose(by, payment_id, leg, Instead.VOUCHER, note)


@transaction.atomic
def ask_again(*, by: User, payment_id: int, note: str) -> Payment:
    """Let the trust that the person elected be asked again, by another list: once it has more capital, or is not paused.

    The line is withdrawn, because its leg was valued once; the next one is worth what its satoshis are then. Raises as
    `take_bitcoin`, and StatusConflict where the person elected bitcoin since, so that nobody would be asked.
    """
    payment, leg = _refused(by, payment_id)
    elected = newest(Enrollment.objects.filter(pk=_enrollment(payment).pk)).get()
    if elected.choice != ElectionChoice.CURRENCY:
        raise StatusConflict(
            "The person elected bitcoin since, so that no trust would be asked: write down what they want first.",
            subject="payment",
            status=payment.status,
        )
    return _choose(by, payment_id, leg, Instead.AGAIN, note)


def _refused(by: User, payment_id: int) -> tuple[Payment, TrustLeg]:
    """Lock a line and return it with the leg that a trust refused; raise as `take_bitcoin`."""
    program_id = (
        Payment.objects.filter(pk=payment_id).values_list("disbursement__program_id", flat=True).first()
    )
    if program_id is None:
        raise NotFound("There is no such payment in your programs.")
    authority.require(user=by, program_id=program_id, roles=OFFICERS)
    payment = holds.hold_still(payment_id)
    leg = TrustLeg.objects.filter(payment=payment, status=LegStatus.REFUSED).first()
    if leg is None or not payment.holds.filter(rule=HoldRule.TRUST_REFUSED, ended_at=None).exists():
        raise StatusConflict(
            "No trust refused the bitcoin of this line.", subject="payment", status=payment.status
        )
    return payment, leg


def _enrollment(payment: Payment) -> Enrollment:
    program_id = payment.disbursement.program_id
    return Enrollment.objects.get(program_id=program_id, beneficiary_id=payment.beneficiary_id)


def _choose(by: User, payment_id: int, leg: TrustLeg, choice: Instead, note: str) -> Payment:
    """Withdraw the line, and keep what its person chose for whoever makes the list that pays it."""
    leg.instead = choice
    leg.save(update_fields=["instead"])
    return holds.withdraw(by=by, payment_id=payment_id, note=f"{LegRefusal(leg.refusal).label}: {note}"[:300])


def newest(rows: QuerySet[Enrollment]) -> QuerySet[Election]:
    """Return what counts of each of these people: the last that was written down."""
    last = Election.objects.filter(enrollment=OuterRef("pk")).order_by("-pk").values("pk")[:1]
    return Election.objects.filter(pk__in=rows.annotate(last=Subquery(last)).values("last"))


def _purse(choice: str, trust_id: int | None, currency: str) -> TrustPurse | None:
    if choice == ElectionChoice.BITCOIN:
        if trust_id is not None or currency:
            raise InvalidInput.of("trust_id", "out_of_place", "No trust pays bitcoin.")
        return None
    found = TrustPurse.objects.filter(trust=trust_id, currency=currency).select_related("trust").first()
    if found is None:
        raise InvalidInput.of(
            "trust_id", "trust_without_currency", "There is no trust that pays this currency."
        )
    return found
