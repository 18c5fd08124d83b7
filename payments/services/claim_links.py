"""One-time links by which people without an address claim: sent to a telephone or mailbox, or printed on slips.

A link is a secret of 130 bits, bound to one person in one program, of which only the hash is kept.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from govpay.errors import Conflict, InvalidInput, NotFound
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
from payments.services import authority, claim_codes, messages, tickets

# Of one list at once: each link is a statement or two, and a message.
AT_ONCE = 1_000


class NobodyToSend(Conflict):
    """Nobody on the list waits for a link that could come in this way."""

    code = "nobody_to_send"


class Slip(NamedTuple):
    """A link for the paper that a person is given; its secret is nowhere else."""

    link: ClaimLink
    secret: str
    address: str


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
    return [Slip(link, secret, address_of(secret, row.program.language)) for row, secret, link in made]


@transaction.atomic
def hand_code(*, by: User, enrollment_id: int, now: datetime | None = None) -> str:
    """Return a code for somebody who shows papers at the counter, for the link that they have; it counts for some minutes.

    Raises NotFound, RoleMissing, NobodyToSend where the person has no link.
    """
    at = now or timezone.now()
    row = _one(by, enrollment_id)
    link = open_links(at).select_for_update(of=("self",)).filter(enrollment=row).first()
    if link is None:
        raise NobodyToSend("The person has no link that counts; give them a slip first.")
    code = claim_codes.make(link, at, by=by)
    audit.record("claim.hand_code", link, by=by, scope=row.program.scope)
    return code


def address_of(secret: str, language: str) -> str:
    """Return the address of the page in a language, with the secret after the #: what is behind it is sent to no server.

    In English, which nobody chose, the page opens in the language that the browser prefers.
    """
    query = "" if language == settings.LANGUAGE_CODE else f"?lang={language}"
    return f"{settings.GOVPAY_PUBLIC_URL}/person/claim/{query}#{secret}"


def open_links(at: datetime) -> QuerySet[ClaimLink]:
    """Return the links that count."""
    return ClaimLink.objects.filter(ended_at=None, expires_at__gt=at)


def end(links: QuerySet[ClaimLink], at: datetime, **changes: object) -> None:
    """End links, with other changes, and forget the messages that they went by."""
    ids = list(links.values_list("pk", flat=True))
    ClaimLink.objects.filter(pk__in=ids).update(ended_at=at, **changes)
    messages.drop(ClaimLink.objects.filter(pk__in=ids), now=at)


def _send_link(link: ClaimLink, secret: str, channel: str, to: str, at: datetime) -> None:
    language = link.enrollment.program.language
    with translation.override(language):
        subject = _("Money waits for you")
        text = _("Money waits for you. Bring your address by %(date)s: %(link)s") % {
            "date": f"{link.expires_at:%Y-%m-%d}",
            "link": address_of(secret, language),
        }
    messages.put(
        link,
        kind=MessageKind.LINK,
        channel=channel,
        to=to,
        subject=subject,
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
    end(ClaimLink.objects.filter(enrollment__in=rows, ended_at=None).select_for_update().order_by("pk"), at)
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
