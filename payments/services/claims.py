"""People without an address prove with a link who they are, and bring one.

With the link, the person's national id and a code that is sent to their telephone, or that an officer hands out to somebody
who shows papers, an address becomes the person's first one. All that is wrong is answered alike, and counted.
"""

import hmac
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from govpay.errors import GovPayError, InvalidInput
from ledger import audit
from payments.models import ClaimLink, Destination, Entitlement
from payments.models.beneficiary import Beneficiary
from payments.onchain import address as address_module
from payments.onchain import network
from payments.prices import currency as currencies
from payments.services import claim_codes, claim_links, entitlements, identity, intake, registry, tickets
from payments.states import EntitlementStatus

# Wrong ids and codes together, until a link is worth nothing; an officer makes another one.
MOST_ATTEMPTS = 5


class ClaimRefused(GovPayError):
    """Link, identity number and code do not fit together, or the link is none, was used, has expired or is locked."""

    code = "claim_refused"
    http_status = 404


class Begun(NamedTuple):
    """How far a claim is: whether a code was sent, and how much waits for the person, in the program's own unit."""

    is_code_sent: bool
    amount: int
    payments: int
    # How much it is in words, of a program of money.
    money: str


def begin(*, secret: str, national_id: str, now: datetime | None = None) -> Begun:
    """Take the link and the id; where they fit together, send a code to the person's telephone.

    Raises ClaimRefused, always with the same words.
    """
    at = now or timezone.now()
    with transaction.atomic():
        link, is_theirs = _find(secret, national_id, at)
        if link is not None:
            if is_theirs:
                rows = _waiting_of(link)
                is_sent = claim_codes.send(link, at)
                amount = sum(row.payment.amount for row in rows)
                program = link.enrollment.program
                money = "" if program.pays_sat else currencies.in_words(amount, program.currency)
                return Begun(is_sent, amount, len(rows), money)
            _count(link, at)
    raise _refused()


def bring(
    *, secret: str, national_id: str, code: str, address: str, now: datetime | None = None
) -> ClaimLink:
    """Make an address the person's first one, and mark what waits for them as claimed; the link has ended with that.

    Raises ClaimRefused, always with the same words, and InvalidInput for an address that cannot be paid: it is corrected and
    sent again, as long as the code counts.
    """
    at = now or timezone.now()
    with transaction.atomic():
        link, is_theirs = _find(secret, national_id, at)
        if link is not None:
            # Both are compared, whatever the first says.
            if claim_codes.is_right(link, code, at) & is_theirs:
                return _bring(link, address, at)
            _count(link, at)
    raise _refused()


def _bring(link: ClaimLink, address: str, at: datetime) -> ClaimLink:
    person = link.enrollment.beneficiary
    # From here to the commit nobody else writes destinations.
    registry.lock()
    script_pubkey = _script(address.strip(), person)
    if Destination.objects.filter(beneficiary=person, is_current=True).exists():
        # It is claimed already: an address is changed by officers, and two of them.
        raise _refused()
    destination = Destination.objects.create(
        beneficiary=person, script_pubkey=script_pubkey, created_by=link.made_by
    )
    if not entitlements.claim(link.enrollment_id):
        # It expired, or was taken back.
        raise _refused()
    claim_links.end(
        ClaimLink.objects.filter(pk=link.pk), at, used_at=at, destination=destination, code_hash=None
    )
    link.refresh_from_db()
    audit.record("claim.bring", link, scope=link.enrollment.program.scope)
    return link


def _script(address: str, person: Beneficiary) -> bytes:
    try:
        script_pubkey = address_module.script_from_address(address, network.current())
    except address_module.InvalidAddress as error:
        raise InvalidInput.of("address", error.details["rule"], error.message) from error
    faults = intake.Faults()
    registry.check_script(script_pubkey, person.pk, faults)
    if faults.kept:
        # Whose it is, is nobody's business.
        raise InvalidInput.of(
            "address", "address_unusable", "This address cannot be used; bring another one of yours."
        )
    return script_pubkey


def _find(secret: str, national_id: str, at: datetime) -> tuple[ClaimLink | None, bool]:
    """Return a link that counts still, locked, and whether the id is its person's, which is hashed in any case."""
    given = identity.hash_of(national_id)
    link = _lock(secret, at)
    known = b"" if link is None else bytes(link.enrollment.beneficiary.identity_hash)
    return link, hmac.compare_digest(known, given) and bool(given)


def _lock(secret: str, at: datetime) -> ClaimLink | None:
    """Return a link that counts still, locked; None where there is none."""
    digest = tickets.digest(secret)
    if not digest:
        return None
    rows = claim_links.open_links(at).filter(secret_hash=digest).select_for_update(of=("self",))
    return rows.select_related("enrollment__beneficiary", "enrollment__program", "made_by").first()


def _count(link: ClaimLink, at: datetime) -> None:
    """Count what was wrong; it stays when the refusal goes out, for the database transaction ends well."""
    rows = ClaimLink.objects.filter(pk=link.pk)
    rows.update(attempts=F("attempts") + 1)
    if link.attempts + 1 >= MOST_ATTEMPTS:
        claim_links.end(rows, at)
    audit.record("claim.miss", link, scope=link.enrollment.program.scope)


def _waiting_of(link: ClaimLink) -> list[Entitlement]:
    rows = Entitlement.objects.filter(
        status=EntitlementStatus.WAITING,
        payment__beneficiary_id=link.enrollment.beneficiary_id,
        payment__disbursement__program_id=link.enrollment.program_id,
    )
    return list(rows.select_related("payment"))


def _refused() -> ClaimRefused:
    return ClaimRefused(
        _(
            "The code and the numbers do not fit together, or the code can be used no more. Ask at the help desk."
        )
    )
