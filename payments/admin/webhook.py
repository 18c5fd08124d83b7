"""Webhooks in the admin: where events are told, whether they are taken, and each message with what came back."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import BooleanRadioFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from payments.admin import cells, scope, webhook_pages
from payments.admin.base import ProgramScopedAdmin, is_number
from payments.admin.filters import ProgramFilter, by_number
from payments.admin.tables import Notice, Table
from payments.models import Role, Webhook, WebhookDelivery
from payments.selectors import webhooks as selector

STATE_TONES = {"active": cells.GOOD, "failing": cells.BAD, "paused": cells.BUSY, "ended": cells.PLAIN}
STATUS_TONES = {"waiting": cells.BUSY, "delivered": cells.GOOD, "failed": cells.BAD}
LAST = 20


@admin.register(Webhook)
class WebhookAdmin(ProgramScopedAdmin):
    """Addresses that are told what happens in a program."""

    also = (Role.SECURITY,)
    list_display = ("name", "program", "address", "types", "state", "waiting", "problems")
    list_select_related = ("program",)
    list_filter = (ProgramFilter,)
    search_fields = ("pk",)
    search_help_text = "Search by number"
    when_empty = "No webhook. Security administrators propose one on their program's page."
    actions_detail = ("rotate", "ping", "pause", "resume", "replay", "change_address", "end")
    fieldsets = (
        (None, {"fields": ("program", "address", "types", "state", "set_by")}),
        ("Messages", {"fields": ("seen", "waiting", "problems", "next_try")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        """Return the webhooks of the user's programs."""
        rows: QuerySet[Webhook] = super().get_queryset(request)
        return selector.counted(rows)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what is possible now to security administrators."""
        row = self.get_object(request, str(object_id))
        names = [] if row is None else _offered(request, row)
        return [self.get_unfold_action(name) for name in self.actions_detail if name in names]

    @action(description="New secret", url_path="rotate", icon="key", variant=ActionVariant.PRIMARY)
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make a secret and show it once."""
        return webhook_pages.rotate(self, request, self._kept(request, object_id))

    @action(description="Ping", url_path="ping", icon="sensors")
    def ping(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send a message about nothing."""
        return webhook_pages.ping(self, request, self._kept(request, object_id))

    @action(description="Pause", url_path="pause", icon="pause", variant=ActionVariant.WARNING)
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send nothing for now."""
        row = self._kept(request, object_id)
        text = "Nothing is sent for now; what happens meanwhile is sent when it goes on."
        return webhook_pages.turn(self, request, row, "pause", text, is_dangerous=False)

    @action(description="Resume", url_path="resume", icon="play_arrow", variant=ActionVariant.PRIMARY)
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go on from where it stopped."""
        row = self._kept(request, object_id)
        text = "It goes on from where it stopped; its alarm is closed."
        return webhook_pages.turn(self, request, row, "resume", text, is_dangerous=False)

    @action(description="Replay", url_path="replay", icon="replay")
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send events once more."""
        return webhook_pages.replay(self, request, self._kept(request, object_id))

    @action(description="Propose another address", url_path="change-address", icon="edit")
    def change_address(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for another address or other event types."""
        row = self._kept(request, object_id)
        return webhook_pages.propose(self, request, row.program, row)

    @action(description="End", url_path="end", icon="stop", variant=ActionVariant.DANGER)
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End it for good."""
        row = self._kept(request, object_id)
        text = "It is never told anything again; what waits is not sent."
        return webhook_pages.turn(self, request, row, "end", text, is_dangerous=True)

    def _kept(self, request: HttpRequest, object_id: str) -> Webhook:
        row: Webhook = self.get_row(request, object_id)
        if not scope.holds(request, row.program_id, Role.SECURITY):
            raise PermissionDenied
        return row

    def notices(self, request: HttpRequest, obj: Webhook) -> list[Notice]:
        """Say why nothing is sent."""
        if obj.ended_at is not None:
            return []
        if obj.paused_at is not None:
            return [Notice(obj.get_pause_reason_display() + ".", cells.BAD, "Nothing is sent")]
        if not obj.secrets.exists():
            text = "A security administrator makes its secret, which is shown once."
            return [Notice(text, cells.BUSY, "It is told nothing before it has a secret")]
        return []

    def tables(self, request: HttpRequest, obj: Webhook) -> list[Table]:
        """Show the secrets' times, and the last messages."""
        kept = obj.secrets.select_related("made_by").defer("secret").order_by("-pk")
        last = selector.deliveries(obj.pk).order_by("-pk")[:LAST]
        return [
            Table(
                "Secrets",
                ("Made", "By", "Signs until"),
                [
                    (
                        cells.moment(row.made_at),
                        cells.person(row.made_by),
                        cells.moment(row.ends_at) if row.ends_at else "the next one",
                    )
                    for row in kept[:LAST]
                ],
            ),
            Table(
                "Last messages",
                ("Message", "Says", "State", "Attempts", "Answer", "Last problem"),
                [
                    (
                        cells.link(row, str(row.number or "ping")),
                        selector.type_of(row),
                        _status(row),
                        cells.number(row.attempts),
                        str(row.response_status or cells.EMPTY),
                        cells.problem(row.error) or cells.EMPTY,
                    )
                    for row in last
                ],
                "Nothing was sent yet.",
                cells.list_of(WebhookDelivery, webhook=obj.pk),
            ),
        ]

    @display(description="webhook")
    def name(self, row: Webhook) -> str:
        """Its number."""
        return str(row)

    @display(description="address")
    def address(self, row: Webhook) -> str:
        """Where it leads."""
        return cells.long(row.url)

    @display(description="told")
    def types(self, row: Webhook) -> str:
        """Which events."""
        return ", ".join(row.event_types) or "every event"

    @display(description="state")
    def state(self, row: Webhook) -> str:
        """Where it stands."""
        return cells.label("", row.state, STATE_TONES[row.state])

    @display(description="set by")
    def set_by(self, row: Webhook) -> str:
        """The proposal that two people agreed to."""
        return cells.link(row.proposal)

    @display(description="told up to event")
    def seen(self, row: Webhook) -> str:
        """The last event that was told, or waits."""
        return cells.number(row.seen_number)

    @display(description="waiting")
    def waiting(self, row: Webhook) -> str:
        """How many messages wait."""
        return cells.number(row.waiting_count)  # type: ignore[attr-defined]

    @display(description="failed attempts")
    def problems(self, row: Webhook) -> str:
        """How many since the last message that was taken."""
        return cells.number(row.failures)

    @display(description="next attempt")
    def next_try(self, row: Webhook) -> str:
        """When it is tried again."""
        return cells.moment(row.due_at) if row.failures and row.state == "failing" else cells.EMPTY


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ProgramScopedAdmin):
    """Messages of webhooks."""

    program_path = "webhook__program"
    noun = "Message"
    also = (Role.SECURITY,)
    list_display = ("name", "program_name", "webhook_link", "says", "state", "tries", "answered", "made")
    list_filter = (ProgramFilter, by_number("webhook", "webhook"), ("is_waiting", BooleanRadioFilter))
    search_fields = ("pk",)
    search_help_text = "Search by the event's number, or by the whole webhook-id"
    when_empty = "No webhook was told anything yet."
    fieldsets = (
        (None, {"fields": ("program_name", "webhook_link", "says", "known_as", "state")}),
        (
            "Attempts",
            {"fields": ("tries", "times_replayed", "made", "tried", "taken", "answered", "problem")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        """Return the messages of the user's programs."""
        rows: QuerySet[WebhookDelivery] = super().get_queryset(request)
        return rows.select_related("webhook__program", "event__change")

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by the event's number, or by the id that a receiver knows."""
        webhook, _, number = term.removeprefix("msg_").partition("_")[2].partition("_")
        if is_number(webhook) and is_number(number):
            return Q(webhook=int(webhook), number=int(number))
        return Q(number=int(term)) if is_number(term) else Q(pk__in=[])

    @display(description="message")
    def name(self, row: WebhookDelivery) -> str:
        """The event's number."""
        return f"Event {row.number:,}" if row.number is not None else "Ping"

    @display(description="program")
    def program_name(self, row: WebhookDelivery) -> str:
        """Whose event it is."""
        return row.webhook.program.code

    @display(description="webhook")
    def webhook_link(self, row: WebhookDelivery) -> str:
        """Where it goes."""
        return cells.link(row.webhook)

    @display(description="says")
    def says(self, row: WebhookDelivery) -> str:
        """What happened."""
        return selector.type_of(row)

    @display(description="webhook-id")
    def known_as(self, row: WebhookDelivery) -> str:
        """What the receiver knows it by."""
        return selector.message_id(row)

    @display(description="state")
    def state(self, row: WebhookDelivery) -> str:
        """Whether it was taken."""
        return _status(row)

    @display(description="attempts")
    def tries(self, row: WebhookDelivery) -> str:
        """How often it was sent."""
        return cells.number(row.attempts)

    @display(description="replays")
    def times_replayed(self, row: WebhookDelivery) -> str:
        """How often somebody asked for it once more."""
        return cells.number(row.replays)

    @display(description="answer")
    def answered(self, row: WebhookDelivery) -> str:
        """The last status that came back; nothing else of an answer is kept."""
        return str(row.response_status or cells.EMPTY)

    @display(description="last problem")
    def problem(self, row: WebhookDelivery) -> str:
        """Why it was not taken."""
        return cells.problem(row.error) or cells.EMPTY

    @display(description="made")
    def made(self, row: WebhookDelivery) -> str:
        """Since when it is there."""
        return cells.moment(row.made_at)

    @display(description="last attempt")
    def tried(self, row: WebhookDelivery) -> str:
        """When it was sent last."""
        return cells.moment(row.attempted_at)

    @display(description="taken")
    def taken(self, row: WebhookDelivery) -> str:
        """When it was taken."""
        return cells.moment(row.delivered_at)


def _status(row: WebhookDelivery) -> str:
    return cells.label("", row.status, STATUS_TONES[row.status])


def _offered(request: HttpRequest, row: Webhook) -> list[str]:
    if row.ended_at is not None or not scope.holds(request, row.program_id, Role.SECURITY):
        return []
    return ["rotate", "ping", "replay", "change_address", "end", "resume" if row.paused_at else "pause"]
