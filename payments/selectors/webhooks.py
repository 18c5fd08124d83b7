"""Reads webhooks and what they were sent."""

from typing import Any

from django.db.models import Count, Prefetch, Q, QuerySet, Value

from payments.models import Installation, Role, Webhook, WebhookDelivery, WebhookSecret
from payments.payout import hooks
from payments.selectors import scope


def visible(user: Any) -> QuerySet[Webhook]:
    """Return the webhooks of the programs that the user reads or keeps up, with the times of their secrets."""
    rows = counted(Webhook.objects.filter(program_id__in=scope.programs(user, Role.SECURITY)))
    # What is secret of them is read where it signs, and nowhere else.
    kept = WebhookSecret.objects.select_related("made_by").defer("secret").order_by("-pk")
    return rows.prefetch_related(Prefetch("secrets", kept))


def counted(rows: QuerySet[Webhook]) -> QuerySet[Webhook]:
    """Return webhooks with how many messages wait."""
    waiting = Count("deliveries", filter=Q(deliveries__is_waiting=True))
    return rows.select_related("program", "proposal").annotate(waiting_count=waiting)


def deliveries(webhook_id: int) -> QuerySet[WebhookDelivery]:
    """Return what a webhook was sent, and what it waits to be sent."""
    rows = WebhookDelivery.objects.filter(webhook_id=webhook_id).select_related("event__change")
    return rows.annotate(installation=Value(_installation()))


def message_id(row: Any) -> str:
    """Return the id that the receiver knows a message by."""
    known = getattr(row, "installation", None)
    return hooks.message_id(row, _installation() if known is None else known)


def _installation() -> str:
    """Return who we are; the row is there from the first webhook on, and whoever only reads does not make it."""
    return str(Installation.objects.values_list("pk", flat=True).first() or "")


def type_of(row: WebhookDelivery) -> str:
    """Return what a message says that happened."""
    return hooks.PING if row.event is None else f"{row.event.change.subject}.{row.event.change.new}"
