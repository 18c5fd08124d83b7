"""The six digits that go with a claim link: sent to the person's telephone, or handed out at the counter."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import F
from django.utils.translation import gettext as _

from ledger import audit
from payments.models import Channel, ClaimLink, MessageKind
from payments.services import digits, messages

MOST = 5


def make(link: ClaimLink, at: datetime, *, by: User | None = None) -> str:
    """Return a new code of a link, handed out by somebody or to be sent; the one before counts no more."""
    code = digits.draw()
    ClaimLink.objects.filter(pk=link.pk).update(
        code_hash=digits.hash_of(_subject(link), code), code_expires_at=at + digits.TERM, code_by=by
    )
    return code


def is_right(link: ClaimLink, code: str, at: datetime) -> bool:
    """Say whether it is the link's code, and counts still."""
    if link.code_hash is None or link.code_expires_at is None or link.code_expires_at <= at:
        return False
    return digits.are(link.code_hash, _subject(link), code)


def send(link: ClaimLink, at: datetime) -> bool:
    """Send a code to the telephone of the registry, or where there is none to the e-mail address that got the link."""
    phone = link.enrollment.beneficiary.personal.get("phone", "")
    email = (link.contact or {}).get("email", "")
    if not (phone or email) or link.codes_sent >= MOST:
        return False
    ClaimLink.objects.filter(pk=link.pk).update(codes_sent=F("codes_sent") + 1)
    code = make(link, at)
    messages.put(
        link,
        kind=MessageKind.CODE,
        channel=Channel.SMS if phone else Channel.EMAIL,
        to=phone or email,
        subject=_("Your code"),
        text=_("Your code is %(code)s. Tell it to nobody.") % {"code": code},
        now=at,
        expires_at=at + digits.TERM,
    )
    audit.record("claim.ask_code", link, scope=link.enrollment.program.scope)
    return True


def _subject(link: ClaimLink) -> str:
    return f"claim-code\n{link.pk}"
