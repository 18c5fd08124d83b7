"""The outbox of messages to people: a row each, sent by a round through a gateway that settings name, until it takes them.

An attempt moves the row's time on before it sends, so that a worker that dies after sending leaves a row that is sent again,
with the same id, by which a gateway drops doubles. What a message says is encrypted, and gone from the row once it was
taken: it holds the secret of a claim link, or a code. The local gateway keeps it, for the admin to show, on regtest alone.
"""

import json
import smtplib
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from payments import doorbell, outbound
from payments.models import Channel, ClaimLink, Heartbeat, Message, PersonCode

log = structlog.get_logger(__name__)

LOCAL = "local"
TIMEOUT_S, BUDGET_S = 10, 20
# Until a message is sent again, doubled each time; the first wait outlasts an attempt, for it is the lease on it too.
AGAIN_S, AGAIN_MOST_S = 30, 3_600
MOST_ATTEMPTS = 20
REST, REST_S = "message_failed", 30


class NotTaken(Exception):
    """A gateway did not take a message; the text says why, without whom it is for."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


def put(
    of: ClaimLink | PersonCode,
    *,
    kind: str,
    channel: str,
    to: str,
    subject: str,
    text: str,
    now: datetime,
    expires_at: datetime,
) -> Message:
    """Keep a message for a person and ring for it; call it in the database transaction of what it tells."""
    assert of.enrollment is not None
    row = Message.objects.create(
        program_id=of.enrollment.program_id,
        link=of if isinstance(of, ClaimLink) else None,
        person_code=of if isinstance(of, PersonCode) else None,
        kind=kind,
        channel=channel,
        content={"to": to, "subject": subject, "text": text},
        message_id=uuid.uuid4(),
        made_at=now,
        due_at=now,
        expires_at=expires_at,
    )
    doorbell.ring("send_messages")
    return row


def drop(links: QuerySet[ClaimLink], *, now: datetime) -> None:
    """Forget what waits for links that have ended."""
    of_links = Message.objects.filter(link__in=links)
    of_links.filter(sent_at=None, failed_at=None).update(
        failed_at=now, error="The link has ended.", content=None
    )
    of_links.exclude(content=None).update(content=None)


def has_due(now: datetime | None = None) -> bool:
    """Tell whether a message may be sent now, or is too old to be."""
    return Heartbeat.is_due(REST, every_s=REST_S) and _due(now or timezone.now()).exists()


def send_due() -> int:
    """Send what is due, one after another, for as long as a round may last; return how many were taken.

    A gateway that does not answer, or not now, is left alone for a while, however many others wait.
    """
    until, taken = time.monotonic() + BUDGET_S, 0
    while time.monotonic() < until and has_due():
        row = _next(timezone.now())
        if row is None:
            break
        taken += _try(row)
    return taken


def forget(now: datetime | None = None) -> int:
    """Forget what the local gateway has shown of links that are over; return how many."""
    over = Q(expires_at__lte=now or timezone.now())
    return Message.objects.filter(over, sent_at__isnull=False).exclude(content=None).update(content=None)


def _due(now: datetime) -> QuerySet[Message]:
    return Message.objects.filter(sent_at=None, failed_at=None, due_at__lte=now).order_by("due_at", "pk")


@transaction.atomic
def _next(now: datetime) -> Message | None:
    """Take the message that has waited longest, and put it off in case that nobody comes back to say how it went."""
    row = _due(now).select_for_update(skip_locked=True).first()
    if row is not None:
        row.attempts += 1
        wait_s = min(AGAIN_S * 2 ** (row.attempts - 1), AGAIN_MOST_S)
        row.due_at = now + timedelta(seconds=wait_s)
        Message.objects.filter(pk=row.pk).update(attempts=F("attempts") + 1, due_at=row.due_at)
    return row


def _try(row: Message) -> bool:
    mine = Message.objects.filter(pk=row.pk, attempts=row.attempts, sent_at=None, failed_at=None)
    now = timezone.now()
    try:
        if row.expires_at <= now:
            raise NotTaken("It came to nothing before anybody took it.", is_final=True)
        assert row.content is not None
        gateway = _gateway(row.channel)
        gateway(row, row.content)
    except NotTaken as error:
        log.warning("message_not_taken", message_id=row.pk, attempts=row.attempts, reason=str(error))
        is_final = error.is_final or row.attempts >= MOST_ATTEMPTS
        if not error.is_final:
            Heartbeat.beat(REST)
        ends = {"failed_at": now, "content": None} if is_final else {}
        mine.update(error=str(error)[:300], **ends)
        return False
    is_kept = gateway is _local
    mine.update(sent_at=now, error="", **({} if is_kept else {"content": None}))
    return True


def _gateway(channel: str) -> Callable[[Message, dict[str, str]], None]:
    if channel == Channel.SMS:
        return _local if settings.GOVPAY_SMS_URL == LOCAL else _sms
    return _local if settings.GOVPAY_EMAIL_URL == LOCAL else _email


def _local(row: Message, content: dict[str, str]) -> None:
    """Leave it in its row, which the admin shows."""


def _sms(row: Message, content: dict[str, str]) -> None:
    """POST it as JSON: to, text and id; the gateway answers 2xx when it took it, or had it before."""
    if not settings.GOVPAY_SMS_URL:
        raise NotTaken("No gateway for SMS is set (GOVPAY_SMS_URL).")
    body = json.dumps({"id": str(row.message_id), "to": content["to"], "text": content["text"]}).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "govpay",
        "Idempotency-Key": str(row.message_id),
    }
    if settings.GOVPAY_SMS_TOKEN:
        headers["Authorization"] = f"Bearer {settings.GOVPAY_SMS_TOKEN}"
    try:
        answer = outbound.post(
            settings.GOVPAY_SMS_URL, body, headers, rule=outbound.OPERATOR, timeout_s=TIMEOUT_S
        )
    except outbound.Unanswered as error:
        raise NotTaken(str(error)) from error
    # What the gateway will never take: a number that is none, a token that is wrong.
    is_final = 400 <= answer.status < 500 and answer.status not in (401, 403, 408, 425, 429)
    if why := outbound.why_not_taken(answer.status):
        raise NotTaken(why, is_final=is_final)


def _email(row: Message, content: dict[str, str]) -> None:
    """Send it by SMTP, through Django's backend."""
    if not settings.GOVPAY_EMAIL_URL:
        raise NotTaken("No gateway for e-mail is set (GOVPAY_EMAIL_URL).")
    message = EmailMessage(
        content["subject"],
        content["text"],
        to=[content["to"]],
        headers={"Message-ID": f"<{row.message_id}@govpay>"},
    )
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        raise NotTaken("The server refuses the recipient.", is_final=True) from error
    except (smtplib.SMTPException, OSError) as error:
        raise NotTaken(f"No success with the mail server ({type(error).__name__}).") from error
