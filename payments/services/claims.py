"""One-time links by which people without an address prove who they are and bring one.

A link is a secret of 130 bits, bound to one person in one program. With it, the person's national id and a code that is sent
to their telephone, or that an officer hands out to somebody who shows papers, an address becomes the person's first one. All
that is wrong is answered alike, and counted.
"""

import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from govpay.errors import Conflict, GovPayError, InvalidInput, NotFound
from ledger import audit
from payments.models import (
    Channel,
    ClaimLink,
    Destination,
    Disbursement,
    Enrollment,
    Entitlement,
    MessageKind,
    Role,
)
from payments.models.beneficiary import Beneficiary
from payments.onchain import address as address_module
from payments.onchain import network
from payments.services import authority, entitlements, identity, intake, messages, registry, tickets
from payments.states import EntitlementStatus

# Wrong ids and codes together, until a link is worth nothing; an officer makes another one.
MOST_ATTEMPTS = 5
MOST_CODES = 5
CODE_TERM = timedelta(minutes=10)
CODE_DIGITS = 6
# Of one list at once: each link is a statement or two, and a message.
AT_ONCE = 1_000


class ClaimRefused(GovPayError):
    """Link, identity number and code do not fit together, or the link is none, was used, has expired or is locked."""

    code = "claim_refused"
    http_status = 404


class NobodyToSend(Conflict):
    """Nobody on the list waits for a link that could come in this way."""

    code = "nobody_to_send"


class Slip(NamedTuple):
    """A link for the paper that a person is given; its secret is nowhere else."""

    link: ClaimLink
    secret: str
    address: str


class Begun(NamedTuple):
    """How far a claim is: whether a code was sent, and how much waits for the person."""

    is_code_sent: bool
    amount_sat: int
    payments: int


@transaction.atomic
def send(*, by: User, disbursement_id: int, channel: str = Channel.SMS, now: datetime | None = None) -> int:
    """Send a link to everybody on a list who waits for one and has a telephone; earlier links of theirs end.

    Raises NotFound, RoleMissing, InvalidInput for a channel that needs an address of each, NobodyToSend.
    """
    if channel != Channel.SMS:
        raise InvalidInput.of("channel", "channel_unsuitable", "A whole list gets links by SMS, or on paper.")
    at = now or timezone.now()
    people = _waiting_people(by, disbursement_id)
    reached = [row for row in people if row.beneficiary.personal.get("phone")]
    if not reached:
        raise NobodyToSend("Nobody on the list waits for a link and has a telephone.")
    for row, secret, link in _make(reached, Channel.SMS, by, at):
        _send_link(link, secret, Channel.SMS, row.beneficiary.personal["phone"], at)
    return len(reached)


@transaction.atomic
def send_one(
    *, by: User, enrollment_id: int, channel: str, email: str = "", now: datetime | None = None
) -> ClaimLink:
    """Send a link to one person: to their telephone, or to an e-mail address that an officer gives.

    Raises NotFound, RoleMissing, InvalidInput, NobodyToSend where nothing waits for the person.
    """
    at = now or timezone.now()
    row = _one(by, enrollment_id)
    to = row.beneficiary.personal.get("phone", "") if channel == Channel.SMS else email.strip()
    if channel == Channel.SMS and not to:
        raise InvalidInput.of("channel", "no_phone", "The person has no telephone.")
    if channel == Channel.EMAIL and not (3 <= len(to) <= 254 and to.count("@") == 1 and to.isprintable()):
        raise InvalidInput.of("email", "email_malformed", "This is no e-mail address.")
    if channel not in (Channel.SMS, Channel.EMAIL):
        raise InvalidInput.of(
            "channel", "channel_unsuitable", "A link is sent by SMS or e-mail; slips are printed."
        )
    ((_row, secret, link),) = _make(
        [row], channel, by, at, contact={"email": to} if channel == Channel.EMAIL else None
    )
    _send_link(link, secret, channel, to, at)
    return link


@transaction.atomic
def print_slips(
    *, by: User, disbursement_id: int, is_for_all: bool = True, now: datetime | None = None
) -> list[Slip]:
    """Make links for paper; their secrets are shown this once.

    For everybody on a list who waits, whose earlier links end, or for those alone who have no link. Raises NotFound,
    RoleMissing, NobodyToSend.
    """
    people = _waiting_people(by, disbursement_id)
    if not is_for_all:
        people = [row for row in people if not row.links_open]  # type: ignore[attr-defined]
    if not people:
        raise NobodyToSend("Nobody on the list waits for a link.")
    made = _make(people, Channel.PAPER, by, now or timezone.now())
    return [Slip(link, secret, address_of(secret)) for _row, secret, link in made]


@transaction.atomic
def hand_code(*, by: User, enrollment_id: int, now: datetime | None = None) -> str:
    """Return a code for somebody who shows papers at the counter, for the link that they have; it counts for some minutes.

    Raises NotFound, RoleMissing, NobodyToSend where the person has no link.
    """
    at = now or timezone.now()
    row = _one(by, enrollment_id)
    link = _open_links(at).select_for_update(of=("self",)).filter(enrollment=row).first()
    if link is None:
        raise NobodyToSend("The person has no link that counts; give them a slip first.")
    code = _new_code(link, at, by=by)
    audit.record("claim.hand_code", link, by=by, scope=row.program.scope)
    return code


def begin(*, secret: str, national_id: str, now: datetime | None = None) -> Begun:
    """Take the link and the id; where they fit together, send a code to the person's telephone.

    Raises ClaimRefused, always with the same words.
    """
    at = now or timezone.now()
    given = _hash(national_id)
    with transaction.atomic():
        link = _lock(secret, at)
        known = b"" if link is None else bytes(link.enrollment.beneficiary.identity_hash)
        is_right = hmac.compare_digest(known, given) and bool(given)
        if link is not None and not is_right:
            _count(link, at)
        if link is not None and is_right:
            rows = _waiting_of(link)
            is_sent = _send_code(link, at)
            return Begun(is_sent, sum(row.payment.amount_sat for row in rows), len(rows))
    raise _refused()


def bring(
    *, secret: str, national_id: str, code: str, address: str, now: datetime | None = None
) -> ClaimLink:
    """Make an address the person's first one, and mark what waits for them as claimed; the link has ended with that.

    Raises ClaimRefused, always with the same words, and InvalidInput for an address that cannot be paid: it is corrected and
    sent again, as long as the code counts.
    """
    at = now or timezone.now()
    given = _hash(national_id)
    with transaction.atomic():
        link = _lock(secret, at)
        known = b"" if link is None else bytes(link.enrollment.beneficiary.identity_hash)
        is_right = hmac.compare_digest(known, given) and bool(given)
        if link is not None:
            is_right &= _is_code(link, code, at)
            if is_right:
                return _bring(link, address, at)
            _count(link, at)
    raise _refused()


def address_of(secret: str) -> str:
    """Return the address of the page, with the secret after the #: what is behind it is sent to no server."""
    return f"{settings.GOVPAY_PUBLIC_URL}/person/claim/#{secret}"


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
    _end(ClaimLink.objects.filter(pk=link.pk), at, used_at=at, destination=destination, code_hash=None)
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


def _lock(secret: str, at: datetime) -> ClaimLink | None:
    """Return a link that counts still, locked; None where there is none."""
    digest = tickets.digest(secret)
    if not digest:
        return None
    rows = _open_links(at).filter(secret_hash=digest).select_for_update(of=("self",))
    return rows.select_related("enrollment__beneficiary", "enrollment__program", "made_by").first()


def _open_links(at: datetime) -> QuerySet[ClaimLink]:
    return ClaimLink.objects.filter(ended_at=None, expires_at__gt=at)


def _count(link: ClaimLink, at: datetime) -> None:
    """Count what was wrong; it stays when the refusal goes out, for the database transaction ends well."""
    rows = ClaimLink.objects.filter(pk=link.pk)
    rows.update(attempts=F("attempts") + 1)
    if link.attempts + 1 >= MOST_ATTEMPTS:
        _end(rows, at)
    audit.record("claim.miss", link, scope=link.enrollment.program.scope)


def _end(links: QuerySet[ClaimLink], at: datetime, **changes: object) -> None:
    ids = list(links.values_list("pk", flat=True))
    ClaimLink.objects.filter(pk__in=ids).update(ended_at=at, **changes)
    messages.drop(ClaimLink.objects.filter(pk__in=ids), now=at)


def _hash(national_id: str) -> bytes:
    try:
        return identity.identity_hash(identity.normalize(national_id))
    except InvalidInput:
        return b""


def _new_code(link: ClaimLink, at: datetime, *, by: User | None = None) -> str:
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
    ClaimLink.objects.filter(pk=link.pk).update(
        code_hash=_code_hash(link, code), code_expires_at=at + CODE_TERM, code_by=by
    )
    return code


def _code_hash(link: ClaimLink, code: str) -> bytes:
    """Return a hash under a key that the database lacks: a million codes are soon tried."""
    return hmac.digest(settings.GOVPAY_IDENTITY_KEY, f"claim-code\n{link.pk}\n{code}".encode(), "sha256")


def _is_code(link: ClaimLink, code: str, at: datetime) -> bool:
    if link.code_hash is None or link.code_expires_at is None or link.code_expires_at <= at:
        return False
    return hmac.compare_digest(bytes(link.code_hash), _code_hash(link, "".join(code.split())[:20]))


def _send_code(link: ClaimLink, at: datetime) -> bool:
    """Send a code to the telephone of the registry, or where there is none to the e-mail address that got the link."""
    phone = link.enrollment.beneficiary.personal.get("phone", "")
    email = (link.contact or {}).get("email", "")
    if not (phone or email) or link.codes_sent >= MOST_CODES:
        return False
    ClaimLink.objects.filter(pk=link.pk).update(codes_sent=F("codes_sent") + 1)
    code = _new_code(link, at)
    messages.put(
        link,
        kind=MessageKind.CODE,
        channel=Channel.SMS if phone else Channel.EMAIL,
        to=phone or email,
        subject=_("Your code"),
        text=_("Your code is %(code)s. Tell it to nobody.") % {"code": code},
        now=at,
        expires_at=at + CODE_TERM,
    )
    audit.record("claim.ask_code", link, scope=link.enrollment.program.scope)
    return True


def _send_link(link: ClaimLink, secret: str, channel: str, to: str, at: datetime) -> None:
    text = _("Money waits for you. Bring your address by %(date)s: %(link)s") % {
        "date": f"{link.expires_at:%Y-%m-%d}",
        "link": address_of(secret),
    }
    messages.put(
        link,
        kind=MessageKind.LINK,
        channel=channel,
        to=to,
        subject=_("Money waits for you"),
        text=text,
        now=at,
        expires_at=link.expires_at,
    )


def _waiting_people(by: User, disbursement_id: int) -> list[Enrollment]:
    """Return who on a list waits and has no address, after checking that the user may send links there."""
    found = Disbursement.objects.filter(pk=disbursement_id, program__memberships__user_id=by.pk)
    row = found.distinct().first()
    if row is None:
        raise NotFound("There is no such disbursement in your programs.")
    authority.require(user=by, program_id=row.program_id, roles=(Role.OFFICER,))
    waits = Entitlement.objects.waiting().filter(payment__disbursement=row)
    people = _without_address(row.program_id).filter(beneficiary__in=waits.values("payment__beneficiary"))
    # Whoever has a link gets the next one last, so that a second click goes on with the others.
    return list(people.order_by("links_open", "pk")[:AT_ONCE])


def _one(by: User, enrollment_id: int) -> Enrollment:
    mine = Enrollment.objects.filter(pk=enrollment_id, program__memberships__user_id=by.pk)
    found = mine.values_list("program_id", flat=True).first()
    if found is None:
        raise NotFound("There is no such enrollment in your programs.")
    authority.require(user=by, program_id=found, roles=(Role.OFFICER,))
    row = _without_address(found).filter(pk=enrollment_id).first()
    waits = Entitlement.objects.waiting().filter(payment__disbursement__program_id=found)
    if row is None or not waits.filter(payment__beneficiary_id=row.beneficiary_id).exists():
        raise NobodyToSend("Nothing waits for this person, or they have an address.")
    return row


def _without_address(program_id: int) -> QuerySet[Enrollment]:
    current = Destination.objects.filter(beneficiary=OuterRef("beneficiary"), is_current=True)
    links = ClaimLink.objects.filter(enrollment=OuterRef("pk"), ended_at=None)
    rows = Enrollment.objects.filter(~Exists(current), program_id=program_id)
    return rows.annotate(links_open=Exists(links)).select_related("beneficiary", "program")


def _waiting_of(link: ClaimLink) -> list[Entitlement]:
    rows = Entitlement.objects.filter(
        status=EntitlementStatus.WAITING,
        payment__beneficiary_id=link.enrollment.beneficiary_id,
        payment__disbursement__program_id=link.enrollment.program_id,
    )
    return list(rows.select_related("payment"))


def _make(
    people: Iterable[Enrollment],
    channel: str,
    by: User,
    at: datetime,
    *,
    contact: dict[str, str] | None = None,
) -> list[tuple[Enrollment, str, ClaimLink]]:
    """Make a link for each, until the last of what waits for them expires; earlier links of theirs end."""
    rows = list(people)
    _end(ClaimLink.objects.filter(enrollment__in=rows, ended_at=None).select_for_update().order_by("pk"), at)
    ends = _ends_of(rows)
    found = []
    for row in rows:
        secret = tickets.make()
        link = ClaimLink(
            enrollment=row,
            secret_hash=tickets.digest(secret),
            channel=channel,
            contact=contact,
            made_by=by,
            made_at=at,
            expires_at=max(ends[row.beneficiary_id], at + timedelta(minutes=1)),
        )
        found.append((row, secret, link))
    ClaimLink.objects.bulk_create(link for _row, _secret, link in found)
    if rows:
        reason = f"{len(rows)} by {channel}"
        audit.record("claim.send", rows[0].program, by=by, scope=rows[0].program.scope, reason=reason)
    return found


def _ends_of(rows: list[Enrollment]) -> dict[int, datetime]:
    waits = Entitlement.objects.waiting().filter(
        payment__beneficiary__in=[row.beneficiary_id for row in rows],
        payment__disbursement__program_id__in={row.program_id for row in rows},
    )
    ends: dict[int, datetime] = {}
    for person_id, expires_at in waits.order_by("expires_at").values_list(
        "payment__beneficiary", "expires_at"
    ):
        ends[person_id] = expires_at
    return ends


def _refused() -> ClaimRefused:
    return ClaimRefused(
        _(
            "The code and the numbers do not fit together, or the code can be used no more. Ask at the help desk."
        )
    )
