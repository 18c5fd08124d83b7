"""Tells a receiver elsewhere what becomes of alarms: signed, at least once, until it takes each message.

The scheme is Standard Webhooks 1.0.0. A message is a row; an attempt moves its time on before it sends, so that a worker
that dies after sending leaves a row that is sent again, with the same ``webhook-id``, by which a receiver drops doubles.
"""

import json
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from standardwebhooks import Webhook

from payments import doorbell, outbound
from payments.models import Alarm, AlarmDelivery, AlarmEvent, Heartbeat
from payments.payout import claim, core, failpoint
from payments.payout.causes import CAUSES

log = structlog.get_logger(__name__)

# For one attempt, from the connection to the status line. Of the reply nothing else is read.
TIMEOUT_S = 10
# For one round: what is left comes with the next.
BUDGET_S = 20
# Until a message is sent again, doubled each time. The first wait outlasts an attempt, for it is the lease on it too.
AGAIN_S, AGAIN_MOST_S = 20, 900
# A receiver that did not take a message is left alone so long, however many others wait: a round on a receiver that
# hangs costs one attempt.
REST_S = 30
REST = "webhook_failed"


def announce(alarms: Sequence[Alarm], event: AlarmEvent) -> None:
    """Keep a message about each alarm and ring for it; call it in the database transaction of what happened.

    It names rows by number and says nothing that a person wrote: whoever wants to know more signs in.
    """
    if not settings.GOVPAY_ALARM_WEBHOOK_URL or not alarms:
        return
    now = timezone.now()
    installation = claim.installation_id()
    AlarmDelivery.objects.bulk_create(
        AlarmDelivery(
            alarm=alarm,
            event=event,
            message_id=f"msg_{uuid.uuid4().hex}",
            body=json.dumps(
                {
                    "type": f"alarm.{event.value}",
                    "timestamp": now.isoformat(),
                    "data": {
                        "installation": installation,
                        "network": settings.GOVPAY_NETWORK,
                        "alarm_id": alarm.pk,
                        "code": alarm.code,
                        "means": CAUSES[alarm.code].means if alarm.code in CAUSES else "",
                        "subject": alarm.subject,
                        "subject_id": alarm.subject_id,
                        "program": alarm.program.code if alarm.program else None,
                        "opened_at": alarm.opened_at.isoformat(),
                    },
                }
            ),
            made_at=Now(),
            due_at=Now(),
        )
        for alarm in alarms
    )
    doorbell.ring("deliver")


def has_due() -> bool:
    """Tell whether a message may be sent now."""
    return (
        bool(settings.GOVPAY_ALARM_WEBHOOK_URL) and Heartbeat.is_due(REST, every_s=REST_S) and _due().exists()
    )


def deliver() -> None:
    """Send what is due, one message after another, for as long as a round may last or until one is not taken."""
    until = time.monotonic() + BUDGET_S
    while time.monotonic() < until and has_due():
        row = _claim()
        if row is None:
            return
        problem = _send(row)
        failpoint.hit("K20")
        sent = AlarmDelivery.objects.filter(pk=row.pk, delivered_at=None)
        if not problem:
            sent.update(delivered_at=Now(), error="")
            continue
        log.warning("webhook_not_taken", message_id=row.message_id, attempts=row.attempts, reason=problem)
        sent.filter(attempts=row.attempts).update(error=problem[:300])
        Heartbeat.beat(REST)


def _due() -> QuerySet[AlarmDelivery]:
    """Return what may be sent now: of one alarm never the later message before the earlier one was taken."""
    waiting = AlarmDelivery.objects.filter(delivered_at=None)
    earlier = waiting.filter(alarm=OuterRef("alarm"), pk__lt=OuterRef("pk"))
    return waiting.filter(~Exists(earlier), due_at__lte=Now()).order_by("due_at", "pk")


@transaction.atomic
def _claim() -> AlarmDelivery | None:
    """Take the message that has waited longest, and put it off in case that nobody comes back to say how it went."""
    row = _due().select_for_update(skip_locked=True).first()
    if row is not None:
        wait_s = core.backoff_s(AGAIN_S, AGAIN_MOST_S, times=row.attempts, payout_id=row.pk)
        row.attempts += 1
        AlarmDelivery.objects.filter(pk=row.pk).update(
            attempts=F("attempts") + 1, due_at=Now() + timedelta(seconds=wait_s)
        )
    return row


def _send(row: AlarmDelivery) -> str:
    """Send a message; return why it was not taken, without the address (it may hold a token), or nothing."""
    now = timezone.now()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "govpay",
        "webhook-id": row.message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(settings.GOVPAY_ALARM_WEBHOOK_SECRET).sign(
            row.message_id, now, row.body
        ),
    }
    try:
        status = outbound.post(
            settings.GOVPAY_ALARM_WEBHOOK_URL,
            row.body.encode(),
            headers,
            rule=outbound.OPERATOR,
            timeout_s=TIMEOUT_S,
        ).status
    except outbound.Unanswered as error:
        return str(error)
    return outbound.why_not_taken(status)
