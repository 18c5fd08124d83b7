"""Alarms in the admin: what somebody must look at, whose it is, and what was found."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from ledger.models import ReconciliationRun
from payments.admin import cells, forms, pages, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.admin.tables import SHOWN, Notice, Table
from payments.models import (
    Alarm,
    AlarmDelivery,
    Disbursement,
    Holding,
    Institution,
    Payment,
    Payout,
    PriceRule,
    Trust,
    Wallet,
    Webhook,
)
from payments.payout.causes import CAUSES
from payments.services import alarms

SUBJECTS: dict[str, tuple[type[Any], str]] = {
    "payout": (Payout, "Payout"),
    "payment": (Payment, "Payment"),
    "disbursement": (Disbursement, "List"),
    "wallet": (Wallet, "Wallet"),
    "run": (ReconciliationRun, "Run"),
    "endpoint": (Webhook, "Webhook"),
    "price": (PriceRule, "Price"),
    "holding": (Holding, "Holding"),
    "institution": (Institution, "Institution"),
    "trust": (Trust, "Trust"),
}


class OpenFilter(DropdownFilter):
    """By whether somebody must still look."""

    title = "state"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the two states."""
        return [("yes", "Open"), ("no", "Closed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the open or the closed ones."""
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(closed_at__isnull=self.value() == "yes")


@admin.register(Alarm)
class AlarmAdmin(ProgramScopedAdmin):
    """The alarms of the user's programs, and those about node and engine, which concern everybody."""

    noun = "Alarm"
    list_display = ("name", "state", "about", "program_name", "what", "opened", "often", "owner_name")
    list_filter = (OpenFilter, ProgramFilter)
    search_fields = ("pk",)
    search_help_text = "Search by number"
    when_empty = "Nothing is wrong, and nothing has been."
    actions_detail = ("take", "close")
    fieldsets = (
        (None, {"fields": ("name", "state", "about", "program_name", "what", "opened", "often", "seen")}),
        ("What it means, and what to do", {"fields": ("means", "remedy")}),
        ("In hand", {"fields": ("owner_name", "owned", "closer", "closed", "found")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alarm]:
        """Return what the user may see."""
        rows = Alarm.objects.all() if scope.sees_everything(request) else alarms.visible(request.user)
        return rows.select_related("owner", "closed_by", "program").order_by("-pk")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer an open alarm to those who work on what the engine does."""
        row = self.get_object(request, str(object_id))
        if row is None or row.closed_at is not None or not _may_own(request, row):
            return []
        names = ["take"] if row.owner_id != request.user.pk else []
        names += ["close"] if alarms.may_be_closed(row) else []
        return [self.get_unfold_action(name) for name in names]

    @action(description="Take it", url_path="take", icon="back_hand", variant=ActionVariant.PRIMARY)
    def take(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Become its owner."""
        return self._ask(
            request,
            self.get_row(request, object_id),
            title="Take the alarm",
            form_class=forms.AgreeForm,
            service=alarms.take,
            done="is yours",
            submit="It is mine",
            help_text="Everybody then sees that you look after it. Who had it before has it no more.",
        )

    @action(description="Close", url_path="close", icon="check", variant=ActionVariant.WARNING)
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what was found."""
        return self._ask(
            request,
            self.get_row(request, object_id),
            title="Close the alarm",
            form_class=forms.ReasonForm,
            service=alarms.close,
            done="is closed",
            submit="Close the alarm",
            help_text="Say what was found and done. A new alarm opens when the cause is seen again.",
        )

    def _ask(self, request: HttpRequest, row: Alarm, *, service: Any, done: str, **page: Any) -> HttpResponse:
        def call(cleaned: dict[str, Any]) -> HttpResponse:
            service(by=request.user, alarm_id=row.pk, **cleaned)
            messages.success(request, said("Alarm {0} {1}.", row.pk, done))
            return HttpResponseRedirect(cells.page_of(row))

        facts = [("Alarm", self.name(row)), ("About", self.about(row)), ("What", self.what(row))]
        return pages.answer(
            self, request, pages.Page(call=call, back=cells.page_of(row), facts=facts, **page)
        )

    def notices(self, request: HttpRequest, obj: Alarm) -> list[Notice]:
        """Say who closes it."""
        if obj.closed_at is not None:
            return []
        if not alarms.may_be_closed(obj):
            return [Notice("It closes by itself when its cause is gone, and not before.", cells.BUSY, "Open")]
        if obj.owner_id is None:
            text = "A treasurer, releaser or program officer takes it, looks, and closes it."
            return [Notice(text, cells.BAD, "Nobody has taken it yet")]
        return []

    def tables(self, request: HttpRequest, obj: Alarm) -> list[Table]:
        """Show what the receiver elsewhere was told, and what it has not taken yet."""
        rows = obj.deliveries.order_by("pk")
        if not settings.GOVPAY_ALARM_WEBHOOK_URL and not rows.exists():
            return []
        return [
            Table(
                "Told elsewhere",
                ("Message", "Since", "State", "Attempts", "Last problem"),
                [
                    (
                        row.get_event_display(),
                        cells.moment(row.made_at),
                        _delivery(row),
                        cells.number(row.attempts),
                        cells.problem(row.error) or cells.EMPTY,
                    )
                    for row in rows[:SHOWN]
                ],
                "Nobody elsewhere was told: it opened before a receiver was set.",
            )
        ]

    @display(description="alarm")
    def name(self, row: Alarm) -> str:
        """What kind of alarm it is."""
        return row.code.replace("_", " ").capitalize()

    @display(description="it means")
    def means(self, row: Alarm) -> str:
        """What its cause is."""
        return cells.words(said(CAUSES[row.code].means)) if row.code in CAUSES else cells.EMPTY

    @display(description="to do")
    def remedy(self, row: Alarm) -> str:
        """What a person does about it."""
        return cells.words(said(CAUSES[row.code].do)) if row.code in CAUSES else cells.EMPTY

    @display(description="state")
    def state(self, row: Alarm) -> str:
        """Whether somebody must still look."""
        return cells.label("", "closed") if row.closed_at else cells.label("", "open", cells.BAD)

    @display(description="about")
    def about(self, row: Alarm) -> str:
        """The row it is about, where there is one."""
        if row.subject not in SUBJECTS or not row.subject_id:
            return f"the {row.subject}"
        model, noun = SUBJECTS[row.subject]
        return cells.link(model(pk=row.subject_id), f"{noun} {row.subject_id}")

    @display(description="program")
    def program_name(self, row: Alarm) -> str:
        """Whose it is."""
        return str(row.program or "all")

    @display(description="what")
    def what(self, row: Alarm) -> str:
        """What is wrong."""
        return cells.long(said(row.message))

    @display(description="since")
    def opened(self, row: Alarm) -> str:
        """When it was seen first."""
        return cells.moment(row.opened_at)

    @display(description="seen")
    def often(self, row: Alarm) -> str:
        """How often it was seen."""
        return "once" if row.times == 1 else f"{row.times:,} times"

    @display(description="seen last")
    def seen(self, row: Alarm) -> str:
        """When it was seen last."""
        return cells.moment(row.seen_at)

    @display(description="owner")
    def owner_name(self, row: Alarm) -> str:
        """Who looks after it."""
        return cells.person(row.owner)

    @display(description="taken")
    def owned(self, row: Alarm) -> str:
        """When somebody took it."""
        return cells.moment(row.owned_at)

    @display(description="closed by")
    def closer(self, row: Alarm) -> str:
        """Who closed it; the engine where the cause went away."""
        if row.closed_at is None:
            return cells.EMPTY
        return cells.person(row.closed_by) if row.closed_by else "the engine"

    @display(description="closed")
    def closed(self, row: Alarm) -> str:
        """When it was closed."""
        return cells.moment(row.closed_at)

    @display(description="what was found")
    def found(self, row: Alarm) -> str:
        """What was found and done."""
        return cells.long(row.close_note)


def _may_own(request: HttpRequest, row: Alarm) -> bool:
    if row.program_id is not None:
        return scope.holds(request, row.program_id, *alarms.OWNERS)
    return any(not held.isdisjoint(alarms.OWNERS) for held in scope.roles(request).values())


def _delivery(row: AlarmDelivery) -> str:
    if row.delivered_at is not None:
        mark, at = cells.label("", "taken", cells.GOOD), row.delivered_at
    else:
        mark, at = cells.label("", "waits until", cells.BAD if row.attempts else cells.BUSY), row.due_at
    return format_html("<span>{} {}</span>", mark, cells.moment(at))
