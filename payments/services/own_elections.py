"""People elect themselves what they want to be paid in: their numbers, then the digits that went to their telephone.

Nothing that they say moves an address or an account: bitcoin goes to the address, and currency to the account, that the
registry has.
"""

from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from govpay.errors import GovPayError
from ledger.law import policy
from payments.models import BankAccount, Election, ElectionChoice, Enrollment, Program, TrustPurse
from payments.selectors import trusts
from payments.services import elections, enrolled, person_codes


class ElectionRefused(GovPayError):
    """The numbers and the code do not fit together, or the code counts no more."""

    code = "election_refused"
    http_status = 404


class Offer(NamedTuple):
    """What somebody may choose from, what counts now (None: bitcoin), and whether digits were sent to them."""

    person: Enrollment
    is_code_sent: bool
    elected: Election | None
    purses: list[TrustPurse]


def begin(*, program: Program, reference: str, national_id: str, now: datetime | None = None) -> Offer:
    """Send digits to the telephone of whoever's numbers these are, and return what they may choose from.

    Nothing is sent where there is nothing to choose. Raises ElectionRefused, always with the same words.
    """
    at = now or timezone.now()
    with transaction.atomic():
        person = _lock(program, reference, national_id)
        elected = trusts.elections(person.pk).first()
        purses = offered(person.program, at)
        has_choice = bool(purses) or (elected is not None and elected.choice == ElectionChoice.CURRENCY)
        return Offer(person, has_choice and person_codes.send(person, at), elected, purses)


def choose(
    *,
    program: Program,
    reference: str,
    national_id: str,
    code: str,
    purse_id: int | None,
    now: datetime | None = None,
) -> Election:
    """Keep what the person wants to be paid in from the next list on: bitcoin, or the currency of a trust's purse.

    Raises ElectionRefused, always with the same words, also for a purse that is offered no more; then the code counts still.
    """
    at = now or timezone.now()
    with transaction.atomic():
        person = _lock(program, reference, national_id)
        purse = next((row for row in offered(person.program, at) if row.pk == purse_id), None)
        used = None if purse_id is not None and purse is None else person_codes.take(person, code, at)
        if used is not None:
            choice = ElectionChoice.BITCOIN if purse is None else ElectionChoice.CURRENCY
            made = Election(enrollment=person, choice=choice, purse=purse, code=used, made_at=at)
            return elections.keep(made)
    # What was wrong is counted, and stays.
    raise _refused()


def offered(program: Program, at: datetime) -> list[TrustPurse]:
    """Return what trusts pay people of a program in: those that take legs now, under laws that let the state convert."""
    rows = trusts.purses().filter(trust__is_paused=False)
    return [row for row in rows if _is_lawful(row, program, at)]


def has_account(person: Enrollment) -> bool:
    """Say whether the registry has an account to which a trust's bank pays."""
    return BankAccount.objects.filter(beneficiary=person.beneficiary_id, is_current=True).exists()


def _is_lawful(purse: TrustPurse, program: Program, at: datetime) -> bool:
    try:
        elections.require_lawful(purse, program, at)
    except policy.PolicyRefused:
        return False
    return True


def _lock(program: Program, reference: str, national_id: str) -> Enrollment:
    found = enrolled.prove(program, reference, national_id)
    if found is None:
        raise _refused()
    rows = Enrollment.objects.select_for_update(of=("self",)).select_related("program", "beneficiary")
    return rows.get(pk=found.pk)


def _refused() -> ElectionRefused:
    return ElectionRefused("The numbers and the code do not fit together, or the code counts no more.")
