"""The six digits that go with a claim link: sent to the person's telephone, or handed out at the counter."""

import hmac
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F
from django.utils.translation import gettext as _

from ledger import audit
from payments.models import Channel, ClaimLink, MessageKind
from payments.services import messages

MOST = 5
TERM = timedelta(minutes=10)
DIGITS = 6


def make(link: ClaimLink, at: datetime, *, by: User | None = None) -> str:
    """Return a new code of a link, handed out by somebody or to be sent; the one before counts no more."""
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    ClaimLink.objects.filter(pk=link.pk).update(
        code_hash=_code_hash(link, code), code_expires_at=at + TERM, code_by=by
    )
    return code


def is_right(link: ClaimLink, code: str, at: datetime) -> bool:
    """Say whether it is the link's code, and counts still."""
    if link.code_hash is None or link.code_expires_at is None or link.code_expires_at <= at:
        return False
    return hmac.compare_digest(bytes(link.code_hash), _code_hash(link, "".join(code.split())[:20]))


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
        expires_at=at + TERM,
    )
    audit.record("claim.ask_code", link, scope=link.enrollment.program.scope)
    return True


def _code_hash(link: ClaimLink, code: str) -> bytes:
    """Return a hash under a key that the database lacks: a million codes are soon tried."""
    return hmac.digest(settings.GOVPAY_IDENTITY_KEY, f"claim-code\n{link.pk}\n{code}".encode(), "sha256")
