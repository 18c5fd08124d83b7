"""The six digits with which an enrolled person says something alone: sent to their telephone, and taken once."""

from datetime import datetime, timedelta

from django.db.models import F
from django.utils.translation import gettext as _

from ledger import audit
from payments.models import Channel, Enrollment, MessageKind, PersonCode
from payments.services import digits, messages

# Of one person in a day, and wrong ones until a code is worth nothing.
MOST_A_DAY, MOST_ATTEMPTS = 5, 5
DAY = timedelta(days=1)


def send(person: Enrollment, at: datetime) -> bool:
    """Send a code to the telephone of the registry; the one before counts no more. Call it with the person locked.

    Returns False where there is no telephone, or too many went there within a day.
    """
    phone = person.beneficiary.personal.get("phone", "")
    if not phone or PersonCode.objects.filter(enrollment=person, made_at__gt=at - DAY).count() >= MOST_A_DAY:
        return False
    code = digits.draw()
    row = PersonCode.objects.create(
        enrollment=person,
        code_hash=digits.hash_of(_subject(person, at), code),
        made_at=at,
        expires_at=at + digits.TERM,
    )
    messages.put(
        row,
        kind=MessageKind.PERSON_CODE,
        channel=Channel.SMS,
        to=phone,
        subject=_("Your code"),
        text=_("Your code is %(code)s. Tell it to nobody.") % {"code": code},
        now=at,
        expires_at=row.expires_at,
    )
    audit.record("person.ask_code", person, scope=person.program.scope)
    return True


def take(person: Enrollment, code: str, at: datetime) -> PersonCode | None:
    """Use the code that was sent last, or count that it was wrong and return None. Call it with the person locked."""
    row = PersonCode.objects.filter(enrollment=person).order_by("-pk").first()
    if row is None or row.used_at is not None or row.expires_at <= at or row.attempts >= MOST_ATTEMPTS:
        return None
    mine = PersonCode.objects.filter(pk=row.pk)
    if not digits.are(row.code_hash, _subject(person, row.made_at), code):
        mine.update(attempts=F("attempts") + 1)
        audit.record("person.miss_code", person, scope=person.program.scope)
        return None
    mine.update(used_at=at)
    return row


def _subject(person: Enrollment, at: datetime) -> str:
    return f"person-code\n{person.pk}\n{at.isoformat()}"
