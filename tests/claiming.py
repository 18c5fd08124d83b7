"""People without an address, lists that set their lines aside, and links that they claim with."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from payments.models import Beneficiary, Destination, Disbursement, Enrollment, Payment, Program
from payments.services import disbursements, entitlements, identity
from tests import factories

NATIONAL_ID = "35202-1111111-{}"


def waiting_list(
    program: Program, officer: User, *, amounts_sat: list[int], without: list[int], term_days: int = 90
) -> Disbursement:
    """A draft whose lines, of these numbers, are for people without an address, each with a telephone and a known id."""
    Program.objects.filter(pk=program.pk).update(claim_term_days=term_days)
    draft = factories.make_disbursement(program, officer, amounts_sat=amounts_sat)
    for line in without:
        person = Payment.objects.get(disbursement=draft, line=line).beneficiary
        person.destinations.all().delete()
        know(person, NATIONAL_ID.format(line), phone=f"+92300000000{line}")
    return draft


def know(person: Beneficiary, national_id: str, **personal: str) -> None:
    """Let somebody be who has the id, and know more of them."""
    person.identity_hash = identity.identity_hash(identity.normalize(national_id))
    person.personal = person.personal | personal
    person.save()


def person_of(disbursement: Disbursement, line: int) -> Enrollment:
    """Who a line is for."""
    return Enrollment.objects.get(
        beneficiary__payments__disbursement=disbursement, beneficiary__payments__line=line
    )


def bring_address(disbursement: Disbursement, line: int, officer: User) -> Destination:
    """Give the person of a line an address, as if they had claimed."""
    person = person_of(disbursement, line)
    made = Destination.objects.create(
        beneficiary=person.beneficiary, script_pubkey=factories.make_script(), created_by=officer
    )
    with transaction.atomic():
        entitlements.claim(person.pk)
    return made


def submit(draft: Disbursement, officer: User) -> bytes:
    """Fix the list; return what is agreed to."""
    made = disbursements.submit(by=officer, disbursement_id=draft.pk)
    return bytes(made.manifest_hash or b"")


def approve(draft: Disbursement, officer: User, approver: User) -> bytes:
    """Fix it and approve it."""
    agreed = submit(draft, officer)
    disbursements.approve(by=approver, disbursement_id=draft.pk, manifest_hash=agreed)
    return agreed


def release(draft: Disbursement, *three: User, **options: Any) -> Disbursement:
    """Fix, approve and release it."""
    officer, approver, releaser = three
    agreed = approve(draft, officer, approver)
    return disbursements.release(by=releaser, disbursement_id=draft.pk, manifest_hash=agreed, **options)
