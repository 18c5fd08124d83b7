"""Webhooks of a program: set by two security administrators, kept up by one, who never changes where anything is sent."""

import base64
import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound
from ledger import audit
from payments import doorbell, outbound, states
from payments.models import (
    Event,
    PauseReason,
    Program,
    Proposal,
    Role,
    Webhook,
    WebhookDelivery,
    WebhookSecret,
)
from payments.payout import alarms, claim, hooks
from payments.services import authority
from payments.services.change import Kind, program_of

# Who keeps a webhook up: whoever may propose and confirm where it leads.
KEEPERS = (Role.SECURITY,)
EVENT_TYPES = tuple(f"{subject}.{status}" for subject, kind in states.FED.items() for status in kind.values)
# Of a program; each costs an attempt for each event.
MOST = 5
MAX_URL = 500
SECRET_BYTES = 32
OVERLAP = timedelta(days=1)
MOST_OVERLAP_HOURS = 168
MOST_REPLAYED = 10_000
MOST_PINGS = 10


class WebhookEnded(Conflict):
    """The webhook was ended for good."""

    code = "webhook_ended"


class WebhookState(Conflict):
    """The webhook is paused already, or is not."""

    code = "webhook_state"


class TooManyWebhooks(Conflict):
    """The program has as many webhooks as one may have."""

    code = "too_many_webhooks"


class TooManyPings(Conflict):
    """As many pings wait as may."""

    code = "too_many_pings"


def _current(proposal: Proposal) -> dict[str, Any]:
    program_id, webhook_id = program_of(proposal), proposal.asked["webhook_id"]
    # Webhooks of a program are counted under its lock.
    Program.objects.select_for_update(no_key=True).get(pk=program_id)
    if webhook_id is None:
        return {"webhook_id": None, "url": None, "event_types": None}
    found = _lock(program_id=program_id, pk=webhook_id)
    return {"webhook_id": webhook_id, "url": found.url, "event_types": found.event_types}


def _change(proposal: Proposal, before: dict[str, Any]) -> dict[str, Any]:
    asked = proposal.asked
    if before["webhook_id"] is None:
        if Webhook.objects.filter(program_id=program_of(proposal), ended_at=None).count() >= MOST:
            raise TooManyWebhooks(f"A program has {MOST} webhooks at most; end one first.", most=MOST)
        if "url" not in asked:
            raise InvalidInput.of("url", "missing", "Say where it leads.")
    url = asked.get("url", before["url"])
    types = asked.get("event_types", before["event_types"] or [])
    _require_url(url)
    for name in types:
        if name not in EVENT_TYPES:
            raise InvalidInput.of("event_types", "unknown_event_type", f"There is no event type {name!r}.")
    after = before | {"url": url, "event_types": sorted(set(types))}
    if after == before:
        raise InvalidInput.of("", "nothing_changes", "The webhook is set like this already.")
    return after


def _require_url(url: str) -> None:
    if len(url) > MAX_URL:
        raise InvalidInput.of("url", "too_long", f"The address has more than {MAX_URL} characters.")
    try:
        outbound.check(url, outbound.public())
    except outbound.AddressRefused as error:
        raise InvalidInput.of("url", "address_refused", str(error)) from error


def _apply(proposal: Proposal, by: User) -> None:
    program_id, after = program_of(proposal), proposal.after
    values = {"url": after["url"], "event_types": after["event_types"], "proposal": proposal}
    if after["webhook_id"] is not None:
        Webhook.objects.filter(pk=after["webhook_id"]).update(due_at=timezone.now(), **values)
        changed = Webhook.objects.get(pk=after["webhook_id"])
        _record("webhook.change", changed, by, proposal.note)
        return
    # It is told what comes from now on; a replay tells what was.
    seen = Event.objects.filter(program=program_id).aggregate(top=Max("number"))["top"] or 0
    # Messages are known by it, so that it is there before anybody looks at them.
    claim.installation_id()
    made = Webhook.objects.create(program_id=program_id, seen_number=seen, **values)
    _record("webhook.create", made, by, proposal.note)


KIND = Kind("webhook", "Webhook", _current, _change, _apply)


@transaction.atomic
def rotate(*, by: User, webhook_id: int, overlap_hours: int | None = None) -> tuple[WebhookSecret, str]:
    """Make a new secret and return it, this once; the one before signs beside it for a day, or for so many hours.

    Until it has a secret a webhook is silent. Raises NotFound, RoleMissing, WebhookEnded.
    """
    found = _require(by, webhook_id)
    overlap = OVERLAP if overlap_hours is None else timedelta(hours=overlap_hours)
    found.secrets.filter(ends_at=None).update(ends_at=timezone.now() + overlap)
    text = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    made = WebhookSecret.objects.create(webhook=found, secret={"secret": text}, made_by=by)
    _record("webhook.rotate", found, by)
    doorbell.ring("send_webhook", webhook_id=found.pk)
    return made, text


@transaction.atomic
def pause(*, by: User, webhook_id: int, note: str = "") -> Webhook:
    """Send nothing for now; what happens meanwhile is told when it goes on. Raises as `rotate`, and WebhookState."""
    found = _require(by, webhook_id)
    if found.paused_at is not None:
        raise WebhookState("It is paused already.", state=found.state)
    Webhook.objects.filter(pk=found.pk).update(paused_at=timezone.now(), pause_reason=PauseReason.BY_HAND)
    return _recorded("webhook.pause", found, by, note)


@transaction.atomic
def resume(*, by: User, webhook_id: int, note: str = "") -> Webhook:
    """Let a paused webhook go on, from where it stopped. Raises as `pause`."""
    found = _require(by, webhook_id)
    if found.paused_at is None:
        raise WebhookState("It is not paused.", state=found.state)
    Webhook.objects.filter(pk=found.pk).update(
        paused_at=None, pause_reason="", failures=0, failing_since=None, due_at=timezone.now()
    )
    _clear_alarm(found, "The webhook was resumed.")
    doorbell.ring("send_webhook", webhook_id=found.pk)
    return _recorded("webhook.resume", found, by, note)


@transaction.atomic
def end(*, by: User, webhook_id: int, note: str = "") -> Webhook:
    """End a webhook for good; what waits is never sent. Raises as `rotate`."""
    found = _require(by, webhook_id)
    Webhook.objects.filter(pk=found.pk).update(ended_at=timezone.now())
    _clear_alarm(found, "The webhook was ended.")
    return _recorded("webhook.end", found, by, note)


@transaction.atomic
def ping(*, by: User, webhook_id: int) -> WebhookDelivery:
    """Send a message about nothing, once, also while the webhook is paused. Raises as `rotate`, and TooManyPings."""
    found = _require(by, webhook_id)
    if WebhookDelivery.objects.filter(webhook=found, number=None, is_waiting=True).count() >= MOST_PINGS:
        raise TooManyPings("Pings wait to be sent already; give the webhook a secret, or start its worker.")
    made = WebhookDelivery.objects.create(webhook=found)
    _record("webhook.ping", found, by)
    doorbell.ring("send_webhook", webhook_id=found.pk)
    return made


@transaction.atomic
def replay(*, by: User, webhook_id: int, first_number: int, last_number: int, note: str = "") -> int:
    """Send the events of these numbers once more, or for the first time, before what comes; return how many there are.

    They keep their ids, so that a receiver which has them drops them. Raises as `rotate`, and InvalidInput.
    """
    found = _require(by, webhook_id)
    if last_number < first_number:
        raise InvalidInput.of("last_number", "before_first", "The last number is before the first.")
    if last_number - first_number >= MOST_REPLAYED:
        raise InvalidInput.of(
            "last_number", "too_many", f"At most {MOST_REPLAYED:,} events are replayed at once."
        )
    if last_number > found.seen_number:
        message = f"Only what came up to event {found.seen_number:,} was ever told; the rest is on its way."
        raise InvalidInput.of("last_number", "not_told_yet", message)
    count = hooks.replay(found, first_number, last_number)
    _record("webhook.replay", found, by, note)
    doorbell.ring("send_webhook", webhook_id=found.pk)
    return count


def _require(by: User, webhook_id: int) -> Webhook:
    """Lock a webhook that the user keeps up; raise NotFound, RoleMissing, WebhookEnded."""
    program_id = Webhook.objects.filter(pk=webhook_id).values_list("program_id", flat=True).first()
    if program_id is None:
        raise NotFound("There is no such webhook in your programs.")
    authority.require(user=by, program_id=program_id, roles=KEEPERS)
    return _lock(program_id=program_id, pk=webhook_id)


def _lock(**columns: Any) -> Webhook:
    found = Webhook.objects.select_for_update(no_key=True).filter(**columns).first()
    if found is None:
        raise NotFound("There is no such webhook in your programs.")
    if found.ended_at is not None:
        raise WebhookEnded("The webhook was ended for good; propose another.")
    return found


def _clear_alarm(found: Webhook, note: str) -> None:
    alarms.clear(hooks.PAUSED, subject="endpoint", subject_id=found.pk, note=note)


def _recorded(action: str, found: Webhook, by: User, note: str) -> Webhook:
    _record(action, found, by, note)
    found.refresh_from_db()
    return found


def _record(action: str, found: Webhook, by: User, note: str = "") -> None:
    audit.record(action, found, by=by, scope=f"program:{found.program_id}", reason=note)
