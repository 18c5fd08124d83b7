"""The global stop in the admin: thrown by a treasurer or auditor, lifted by another treasurer."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from payments.admin import cells, forms, pages, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.tables import Notice
from payments.models import Stop
from payments.services import stops


def banner(request: HttpRequest) -> dict[str, Any]:
    """Give every page the stop that is open, for whoever works in a program; a page that does not ask costs no query."""

    def open_stop() -> Stop | None:
        if not scope.may_look(request):
            return None
        return Stop.objects.filter(is_open=True).select_related("thrown_by").first()

    return {"open_stop": open_stop}


@admin.register(Stop)
class StopAdmin(ProgramScopedAdmin):
    """Every stop there was. It concerns all programs, so that everybody who works in one may read it."""

    noun = "Stop"
    list_display = ("number", "state", "reason_text", "thrower", "thrown", "lifter", "lifted")
    when_empty = "The engine has never been stopped. A treasurer or an auditor has the button that stops it."
    actions_list = ("throw",)
    actions_detail = ("lift",)
    fieldsets = (
        (None, {"fields": ("state", "reason_text", "thrower", "thrown")}),
        ("Lifted", {"fields": ("lift_text", "lifter", "lifted")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Stop]:
        """Return all stops to whoever works in a program."""
        rows = Stop.objects.select_related("thrown_by", "lifted_by").order_by("-pk")
        return rows if scope.may_look(request) else rows.none()

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer the switch to those who may throw it, while the engine runs."""
        may = stops.may_throw(_user(request)) and not Stop.objects.filter(is_open=True).exists()
        return [self.get_unfold_action("throw")] if may else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer to lift an open stop to those who may, other than who threw it."""
        row = self.get_object(request, str(object_id))
        may = row is not None and row.is_open and row.thrown_by_id != request.user.pk
        return [self.get_unfold_action("lift")] if may and stops.may_lift(_user(request)) else []

    @action(description="Stop the engine", url_path="throw", icon="front_hand", variant=ActionVariant.DANGER)
    def throw(self, request: HttpRequest) -> HttpResponse:
        """Stop all sealing, signing and sending."""
        if request.method == "GET" and not self.get_actions_list(request):
            # The list says what is in force, and who stops the engine.
            return HttpResponseRedirect(cells.list_of(Stop))

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            made = stops.throw(by=_user(request), reason=cleaned["note"])
            messages.success(request, "The engine is stopped. Another person, a treasurer, lifts it.")
            return HttpResponseRedirect(cells.page_of(made))

        page = pages.Page(
            title="Stop the engine",
            form_class=forms.ReasonForm,
            call=call,
            submit="Stop the engine",
            back=cells.list_of(Stop),
            is_dangerous=True,
            help_text="From now on nothing is sealed, signed or sent, in any program: no bank file leaves, and no voucher "
            "is redeemed. What was sent before may still be put into a block. You cannot lift your own stop.",
        )
        return pages.answer(self, request, page)

    @action(description="Lift the stop", url_path="lift", icon="play_arrow", variant=ActionVariant.PRIMARY)
    def lift(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let the engine go on."""
        row: Stop = self.get_row(request, object_id)
        if request.method == "GET" and not self.get_actions_detail(request, object_id):
            # The stop's page says who may lift it.
            return HttpResponseRedirect(cells.page_of(row))

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            stops.lift(by=_user(request), stop_id=row.pk, reason=cleaned["note"])
            messages.success(request, "The stop is lifted; the engine goes on within seconds.")
            return HttpResponseRedirect(cells.page_of(row))

        page = pages.Page(
            title="Lift the stop",
            form_class=forms.ReasonForm,
            call=call,
            submit="Let the engine go on",
            back=cells.page_of(row),
            facts=[
                ("Stopped by", cells.join(cells.person(row.thrown_by), cells.moment(row.thrown_at))),
                ("Reason", cells.long(row.reason)),
            ],
            help_text="What is released is paid from now on.",
        )
        return pages.answer(self, request, page)

    def notices(self, request: HttpRequest, obj: Stop) -> list[Notice]:
        """Say who may lift it."""
        if not obj.is_open:
            return []
        text = "A treasurer lifts it, who is somebody else than the person who stopped the engine."
        return [Notice(text, cells.BAD, "Nothing is sealed, signed or sent")]

    @display(description="stop")
    def number(self, row: Stop) -> str:
        """Its number."""
        return f"Stop {row.pk}"

    @display(description="state")
    def state(self, row: Stop) -> str:
        """Whether it is in force."""
        return cells.label("", "in force", cells.BAD) if row.is_open else cells.label("", "lifted")

    @display(description="reason")
    def reason_text(self, row: Stop) -> str:
        """Why the engine was stopped."""
        return cells.long(row.reason)

    @display(description="stopped by")
    def thrower(self, row: Stop) -> str:
        """Who stopped it."""
        return cells.person(row.thrown_by)

    @display(description="stopped")
    def thrown(self, row: Stop) -> str:
        """When it was stopped."""
        return cells.moment(row.thrown_at)

    @display(description="lifted by")
    def lifter(self, row: Stop) -> str:
        """Who let it go on."""
        return cells.person(row.lifted_by)

    @display(description="lifted")
    def lifted(self, row: Stop) -> str:
        """When it went on."""
        return cells.moment(row.lifted_at)

    @display(description="reason")
    def lift_text(self, row: Stop) -> str:
        """Why it was lifted."""
        return cells.long(row.lift_reason)


def _user(request: HttpRequest) -> Any:
    return request.user
