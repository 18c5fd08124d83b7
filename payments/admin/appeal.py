"""Appeals in the admin: lodged on an enrollment's page, decided here by another person."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from payments.admin import cells, scope
from payments.admin.decided import DecidedAdmin
from payments.models import Appeal, AppealOutcome
from payments.selectors import exclusions as selector
from payments.services import appeals

TONES = {AppealOutcome.OPEN: cells.BUSY, AppealOutcome.UPHELD: cells.PLAIN, AppealOutcome.LIFTED: cells.GOOD}


@admin.register(Appeal)
class AppealAdmin(DecidedAdmin):
    """What excluded people say, and what was decided."""

    noun = "Appeal"
    keyword, tones = "appeal_id", TONES
    joined = ("exclusion__exclusion_list", "recorded_by")
    list_display = ("number", "program_name", "person", "list_name", "state", "lodged", "due")
    actions_detail = ("lift", "uphold")
    when_empty = "Nobody has appealed. An officer records an appeal on an enrollment's page."

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the words to those who decide, enroll or audit."""
        may = obj is not None and scope.holds(request, obj.program_id, *selector.WORDS_ROLES)
        words = ("speaker", "text") if may else ()
        return (
            (None, {"fields": ("person", "program_name", "list_name", "reason", *words, "state")}),
            ("People", {"fields": ("recorder", "lodged", "due", "decider", "decided", "decision")}),
        )

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer the decision to whoever may make it."""
        row = self.get_object(request, str(object_id))
        user: Any = request.user
        is_open = row is not None and row.outcome == AppealOutcome.OPEN
        may = is_open and appeals.may_decide(user, row)
        return super().get_actions_detail(request, object_id) if may else []

    @action(description="Lift the exclusion", url_path="lift", icon="check", variant=ActionVariant.PRIMARY)
    def lift(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let the person be paid."""
        text = "The person's held payments go on at once, if nothing else holds them."
        return self.decide(
            request,
            object_id,
            appeals.lift,
            title="Lift the exclusion",
            done="The exclusion is lifted.",
            help_text=text,
        )

    @action(description="Uphold", url_path="uphold", icon="gavel", variant=ActionVariant.WARNING)
    def uphold(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Leave the exclusion as it is."""
        text = "The person's payments stay held until they are withdrawn."
        return self.decide(
            request,
            object_id,
            appeals.uphold,
            title="Uphold the exclusion",
            done="The exclusion stands.",
            help_text=text,
        )

    def facts(self, row: Appeal) -> list[tuple[str, Any]]:
        """Return whom it is about, and what excludes them."""
        return [
            ("Person", self.person(row)),
            ("List", self.list_name(row)),
            ("Why listed", self.reason(row)),
        ]

    @display(description="appeal")
    def number(self, row: Appeal) -> str:
        """Its number."""
        return f"Appeal {row.pk}"

    @display(description="list")
    def list_name(self, row: Appeal) -> str:
        """What excludes them."""
        return cells.link(row.exclusion.exclusion_list)

    @display(description="why listed")
    def reason(self, row: Appeal) -> str:
        """The list's reason."""
        return cells.long(row.exclusion.exclusion_list.reason)

    @display(description="lodged by")
    def speaker(self, row: Appeal) -> str:
        """The person, or who speaks for them."""
        return cells.long(row.words["lodged_by"])

    @display(description="what they say")
    def text(self, row: Appeal) -> str:
        """The words."""
        return cells.long(row.words["text"])

    @display(description="recorded by")
    def recorder(self, row: Appeal) -> str:
        """Who took it down."""
        return cells.person(row.recorded_by)

    @display(description="lodged")
    def lodged(self, row: Appeal) -> str:
        """When."""
        return cells.moment(row.lodged_at)

    @display(description="to be decided by")
    def due(self, row: Appeal) -> str:
        """Until when it is to be decided."""
        if row.outcome == AppealOutcome.OPEN and row.due_at < timezone.now():
            return cells.join(cells.label("", "overdue", cells.BAD), cells.moment(row.due_at))
        return cells.moment(row.due_at)
