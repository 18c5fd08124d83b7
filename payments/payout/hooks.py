"""Sends a program's events to its webhooks: in their order, signed, at least once, each webhook by one worker at a time.

The scheme is Standard Webhooks 1.0.0. A message is made of its event and always the same, and so is its ``webhook-id``, by
which a receiver drops doubles: whoever dies after sending, and before noting so, leaves a row that is sent again. What is
not taken is tried again, ever more slowly, and after days the webhook is paused with an alarm (ADR 46).
"""

import json
import time
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from standardwebhooks import Webhook as Signature

from payments import doorbell, outbound
from payments.models import Event, PauseReason, Webhook, WebhookDelivery, WebhookSecret
from payments.outbound import Resolver
from payments.payout import alarms, claim, core, failpoint

log = structlog.get_logger(__name__)

# For one attempt, and for one visit: then the next webhook has its turn.
TIMEOUT_S, VISIT_S = 10, 20
# Longer than an attempt; each message renews it.
LEASE_S = 60
# Until what was not taken is sent again, doubled each time.
AGAIN_S, AGAIN_MOST_S = 10, 3600
GIVE_UP = timedelta(days=3)
# Of events that become rows together: a receiver that is down for long leaves the others in the feed.
AT_ONCE = 500
# Of the log, what was delivered is kept so long. The events stay, so that all of it can be replayed for ever.
KEPT = timedelta(days=90)
PAUSED = "webhook_paused"
PING = "ping"
GONE = 410
# In the order of their numbers; what there is already waits again if it is asked for once more.
TELL = """
INSERT INTO payments_webhookdelivery (webhook_id, event_id, number, is_waiting, made_at, attempts, error, replays)
SELECT %(webhook)s, e.change_id, e.number, true, now(), 0, '', 0
FROM payments_event e JOIN payments_statuschange c ON c.id = e.change_id
WHERE e.program_id = %(program)s AND e.number BETWEEN %(first)s AND %(last)s
    AND (%(types)s::text[] = '{{}}' OR c.subject || '.' || c.new = ANY(%(types)s::text[]))
ORDER BY e.number
ON CONFLICT (webhook_id, number) DO {clash}
"""
ONCE = TELL.format(clash="NOTHING")
AGAIN = TELL.format(clash="UPDATE SET is_waiting = true, replays = payments_webhookdelivery.replays + 1")


def due() -> QuerySet[Webhook]:
    """Return the webhooks with something to send now, and a secret to sign it, that no worker is at."""
    waiting = WebhookDelivery.objects.filter(webhook=OuterRef("pk"), is_waiting=True)
    unseen = Event.objects.filter(program=OuterRef("program"), number__gt=OuterRef("seen_number"))
    # A ping is sent at once, and while the webhook is paused too: it is how one finds out whether to go on.
    has_turn = Exists(waiting.filter(number=None)) | (
        Q(Exists(waiting) | Exists(unseen)) & Q(paused_at=None, due_at__lte=Now())
    )
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    has_secret = Exists(WebhookSecret.objects.filter(webhook=OuterRef("pk")))
    return Webhook.objects.filter(free, has_turn, has_secret, ended_at=None)


def deliver(webhook_id: int, resolve: Resolver | None = None) -> None:
    """Send what a webhook has to be told, one message after another, until a visit is over or one is not taken."""
    token = _lease(webhook_id)
    if token is None:
        return
    until, installation = time.monotonic() + VISIT_S, claim.installation_id()
    try:
        while row := _next(webhook_id, token):
            status, problem = _send(row, installation, resolve)
            failpoint.hit("K20")
            if not problem:
                _note_taken(row, status, token)
            elif row.number is None:
                _note(row, status, problem, is_waiting=False)
            else:
                _note_refused(row, status, problem, token)
            if time.monotonic() >= until:
                # Behind the others who wait.
                doorbell.ring("send_webhook", webhook_id=webhook_id)
                return
    finally:
        Webhook.objects.filter(pk=webhook_id, lease_token=token).update(lease_until=None)


def replay(webhook: Webhook, first: int, last: int) -> int:
    """Let the events of these numbers wait once more, those that have no delivery yet too; return how many there are."""
    return _tell(AGAIN, webhook, first, last)


def message_id(row: WebhookDelivery, installation: str) -> str:
    """Return the id of a message, which is the same however often it is sent, and whenever its row was made."""
    name = f"ping{row.pk}" if row.number is None else str(row.number)
    return f"msg_{installation.replace('-', '')}_{row.webhook_id}_{name}"


def forget() -> None:
    """Delete what was delivered long ago from the log, a part at a time."""
    old = WebhookDelivery.objects.filter(is_waiting=False, attempted_at__lt=Now() - KEPT).order_by("pk")
    while keys := list(old.values_list("pk", flat=True)[:AT_ONCE]):
        WebhookDelivery.objects.filter(pk__in=keys).delete()


def _lease(webhook_id: int) -> int | None:
    """Take a webhook that is due, and return the token; None where another worker has it, or nothing is due."""
    rows = due().filter(pk=webhook_id)
    if not rows.update(lease_until=Now() + timedelta(seconds=LEASE_S), lease_token=F("lease_token") + 1):
        return None
    return Webhook.objects.values_list("lease_token", flat=True).get(pk=webhook_id)


def _next(webhook_id: int, token: int) -> WebhookDelivery | None:
    """Return the message whose turn it is, with its webhook as it is now, and renew the lease; None when there is none."""
    mine = Webhook.objects.filter(pk=webhook_id, lease_token=token, lease_until__gt=Now(), ended_at=None)
    if not mine.update(lease_until=Now() + timedelta(seconds=LEASE_S)):
        return None
    webhook = Webhook.objects.select_related("program").get(pk=webhook_id)
    rows = WebhookDelivery.objects.filter(webhook=webhook, is_waiting=True).select_related("event__change")
    has_turn = webhook.paused_at is None and webhook.due_at <= timezone.now()
    pings_first = rows.order_by(F("number").asc(nulls_first=True), "pk")
    found = (pings_first if has_turn else pings_first.filter(number=None)).first()
    while found is None and has_turn and _take_up(webhook, token):
        found = pings_first.first()
    if found is not None:
        found.webhook = webhook
    return found


@transaction.atomic
def _take_up(webhook: Webhook, token: int) -> bool:
    """Make deliveries of the next events in the feed; return False where there are none."""
    top = Event.objects.filter(program=webhook.program_id).aggregate(top=Max("number"))["top"] or 0
    if top <= webhook.seen_number:
        return False
    first, last = webhook.seen_number + 1, min(webhook.seen_number + AT_ONCE, top)
    if not Webhook.objects.filter(pk=webhook.pk, lease_token=token).update(seen_number=last):
        return False
    _tell(ONCE, webhook, first, last)
    webhook.seen_number = last
    return True


def _tell(statement: str, webhook: Webhook, first: int, last: int) -> int:
    values = {
        "webhook": webhook.pk,
        "program": webhook.program_id,
        "first": first,
        "last": last,
        "types": webhook.event_types,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def _send(row: WebhookDelivery, installation: str, resolve: Resolver | None) -> tuple[int | None, str]:
    """Send a message; return the status that came, if any, and why it was not taken, or nothing."""
    now = timezone.now()
    name, body = message_id(row, installation), _body(row, installation)
    live = row.webhook.secrets.filter(Q(ends_at=None) | Q(ends_at__gt=now)).order_by("-pk")
    signatures = [Signature(kept.secret["secret"]).sign(name, now, body) for kept in live]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "govpay",
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    try:
        status = outbound.post(
            row.webhook.url,
            body.encode(),
            headers,
            rule=outbound.public(),
            timeout_s=TIMEOUT_S,
            resolve=resolve,
        ).status
    except outbound.Unanswered as error:
        return None, str(error)
    return status, outbound.why_not_taken(status)


def _body(row: WebhookDelivery, installation: str) -> str:
    """Return what a message says: what changed from which status to which, and nothing that a person wrote."""
    data = {
        "installation": installation,
        "network": settings.GOVPAY_NETWORK,
        "program": row.webhook.program.code,
        "webhook_id": row.webhook_id,
    }
    type_ = PING
    if row.event is not None:
        change = row.event.change
        type_ = f"{change.subject}.{change.new}"
        data |= {
            "number": row.number,
            "subject": change.subject,
            "subject_id": change.subject_id,
            "old": change.old,
            "new": change.new,
        }
    return json.dumps({"type": type_, "timestamp": row.happened_at.isoformat(), "data": data})


def _note(row: WebhookDelivery, status: int | None, problem: str, *, is_waiting: bool) -> None:
    """Write how an attempt ended; one that was asked for once more meanwhile goes on waiting."""
    rows = WebhookDelivery.objects.filter(pk=row.pk)
    rows.update(
        attempts=F("attempts") + 1,
        attempted_at=Now(),
        response_status=status,
        error=problem[:300],
        **({} if problem else {"delivered_at": Now()}),
    )
    if not is_waiting:
        rows.filter(replays=row.replays).update(is_waiting=False)


@transaction.atomic
def _note_taken(row: WebhookDelivery, status: int | None, token: int) -> None:
    # It was taken, whoever has the lease by now.
    _note(row, status, "", is_waiting=False)
    mine = Webhook.objects.filter(pk=row.webhook_id, lease_token=token, failures__gt=0)
    mine.update(failures=0, failing_since=None, due_at=Now())


@transaction.atomic
def _note_refused(row: WebhookDelivery, status: int | None, problem: str, token: int) -> None:
    """Put the webhook off; pause it, with an alarm, when it has taken nothing for days or says that it is gone."""
    webhook = row.webhook
    wait_s = core.backoff_s(AGAIN_S, AGAIN_MOST_S, times=webhook.failures, payout_id=webhook.pk)
    mine = Webhook.objects.filter(pk=webhook.pk, lease_token=token)
    if not mine.update(
        failures=F("failures") + 1,
        failing_since=Coalesce("failing_since", Now()),
        due_at=Now() + timedelta(seconds=wait_s),
    ):
        return
    _note(row, status, problem, is_waiting=True)
    log.warning("webhook_not_taken", webhook_id=webhook.pk, number=row.number, reason=problem)
    is_gone = status == GONE
    over = mine if is_gone else mine.filter(failing_since__lte=Now() - GIVE_UP)
    reason = PauseReason.GONE if is_gone else PauseReason.FAILING
    if over.filter(paused_at=None).update(paused_at=Now(), pause_reason=reason):
        alarms.sound(
            PAUSED,
            subject="endpoint",
            subject_id=webhook.pk,
            program_id=webhook.program_id,
            message=f"{webhook} is paused at event {row.number}. {problem}",
        )
