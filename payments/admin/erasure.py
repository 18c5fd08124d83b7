"""Erasures in the admin: asked for on an enrollment's page, decided by another person here."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, forms, pages
from payments.admin.decided import DecidedAdmin
from payments.admin.tables import Notice
from payments.models import Enrollment, Erasure, ErasureOutcome
from payments.services import erasures

TONES = {
    ErasureOutcome.OPEN: cells.BUSY,
    ErasureOutcome.ERASED: cells.GOOD,
    ErasureOutcome.REFUSED: cells.BAD,
    ErasureOutcome.WITHDRAWN: cells.PLAIN,
}


def ask(model_admin: Any, request: HttpRequest, row: Enrollment) -> HttpResponse:
    """Ask that what is known of the person is destroyed."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        by: Any = request.user
        made = erasures.ask(by=by, enrollment_id=row.pk, note=cleaned["note"])
        messages.success(request, "Somebody else decides on the erasure.")
        return HttpResponseRedirect(cells.page_of(made))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Erase what is known of {0}", row.reference),
            form_class=forms.ReasonForm,
            call=call,
            submit="Ask for the erasure",
            back=cells.page_of(row),
            is_dangerous=True,
            help_text="Name, telephone, the words of appeals and grievances and every enrollment go, in all programs; "
            "amounts, addresses that were paid and the keyed hash of the national id stay. The reason must name nobody.",
        ),
    )


@admin.register(Erasure)
class ErasureAdmin(DecidedAdmin):
    """Who asked that what is known of whom is destroyed, and who decided."""

    noun = "Erasure"
    keyword, tones, joined = "erasure_id", TONES, ("asked_by",)
    list_display = ("number", "program_name", "person", "state", "asker", "asked")
    actions_detail = ("confirm", "refuse", "withdraw")
    when_empty = "Nobody was erased. An officer asks for it on an enrollment's page."
    fieldsets = (
        (None, {"fields": ("person", "program_name", "state", "reason")}),
        ("People", {"fields": ("asker", "asked", "decider", "decided", "decision")}),
    )

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the permission and the second-person rule allow."""
        row = self.get_object(request, str(object_id))
        user: Any = request.user
        names: list[str] = []
        if row is not None and row.outcome == ErasureOutcome.OPEN:
            if row.asked_by_id == user.pk:
                names = ["withdraw"]
            elif erasures.may_decide(user, row):
                names = ["confirm", "refuse"]
        return [self.get_unfold_action(name) for name in self.actions_detail if name in names]

    def notices(self, request: HttpRequest, obj: Erasure) -> list[Notice]:
        """Say whose turn it is while nobody has decided."""
        if obj.outcome != ErasureOutcome.OPEN:
            return []
        user: Any = request.user
        if erasures.may_decide(user, obj):
            return [Notice("Erase what is known of the person, or refuse.", cells.INFO, "Waits for you")]
        text = "Somebody of the program who did not ask for it, and holds the right to decide erasures."
        return [Notice(text, cells.BUSY, "Waits for a second person")]

    @action(description="Erase", url_path="confirm", icon="delete_forever", variant=ActionVariant.DANGER)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Agree as a second person."""
        text = "It is done at once, in every program, and cannot be undone."
        return self._decide(request, object_id, erasures.confirm, "Erase", "was erased", text)

    @action(description="Refuse", url_path="refuse", icon="close", variant=ActionVariant.WARNING)
    def refuse(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Refuse as a second person."""
        return self._decide(request, object_id, erasures.refuse, "Refuse to erase", "is kept", "")

    @action(description="Withdraw", url_path="withdraw", icon="undo", variant=ActionVariant.WARNING)
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take back what one asked for oneself."""
        return self._decide(request, object_id, erasures.withdraw, "Withdraw", "is kept", "")

    def _decide(
        self, request: HttpRequest, object_id: str, service: Any, title: str, done: str, help_text: str
    ) -> HttpResponse:
        return self.decide(
            request,
            object_id,
            service,
            title=title,
            done=said("What was known of the person {0}.", done),
            help_text=help_text,
            is_dangerous=service is erasures.confirm,
        )

    def facts(self, row: Erasure) -> list[tuple[str, Any]]:
        """Return whom it is about, and why it was asked for."""
        return [
            ("Person", self.person(row)),
            ("Reason", cells.long(row.note)),
            ("Asked by", cells.join(self.asker(row), self.asked(row))),
        ]

    @display(description="erasure")
    def number(self, row: Erasure) -> str:
        """Its number."""
        return f"Erasure {row.pk}"

    @display(description="person")
    def person(self, row: Erasure) -> str:
        """Whom it is about; who was erased has no page in any program."""
        is_erased = row.outcome == ErasureOutcome.ERASED
        return f"Person {row.beneficiary_id}" if is_erased else super().person(row)

    @display(description="reason")
    def reason(self, row: Erasure) -> str:
        """Why it was asked for."""
        return cells.long(row.note)

    @display(description="asked by")
    def asker(self, row: Erasure) -> str:
        """Who asked."""
        return cells.person(row.asked_by)

    @display(description="asked")
    def asked(self, row: Erasure) -> str:
        """When."""
        return cells.moment(row.asked_at)
