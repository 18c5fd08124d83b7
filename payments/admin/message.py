"""Messages to people in the admin: whether a gateway took them."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from payments.admin import cells
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.admin.tables import Notice
from payments.models import Message


@admin.register(Message)
class MessageAdmin(ProgramScopedAdmin):
    """Messages to people; what they say can be read while the local gateway keeps it, on regtest alone."""

    noun = "Message"
    list_display = ("number", "program", "what", "how", "state", "made", "tries")
    list_filter = (ProgramFilter, ("kind", ChoicesDropdownFilter), ("channel", ChoicesDropdownFilter))
    list_select_related = ("program", "link__enrollment", "person_code__enrollment")
    search_fields = ("pk",)
    search_help_text = "Search by number"
    fields = ("program", "what", "how", "person", "state", "made", "due", "tries", "problem", "words")
    when_empty = "No message was made yet."

    def notices(self, request: HttpRequest, obj: Message) -> list[Notice]:
        """Say where it is read."""
        if obj.content is not None and obj.sent_at is not None:
            return [Notice("The local gateway keeps it here until it expires.", cells.INFO, "Regtest")]
        return []

    @display(description="message")
    def number(self, row: Message) -> str:
        """Its number."""
        return str(row)

    @display(description="kind")
    def what(self, row: Message) -> str:
        """Link or code."""
        return row.get_kind_display()

    @display(description="channel")
    def how(self, row: Message) -> str:
        """How it goes."""
        return row.get_channel_display()

    @display(description="person")
    def person(self, row: Message) -> str:
        """Whom it is for."""
        return cells.link(row.enrollment)

    @display(description="state")
    def state(self, row: Message) -> str:
        """Whether a gateway took it."""
        if row.sent_at is not None:
            return cells.join(cells.label("", "sent", cells.GOOD), cells.moment(row.sent_at))
        return cells.label("", "failed", cells.BAD) if row.failed_at else cells.label("", "waits", cells.BUSY)

    @display(description="made")
    def made(self, row: Message) -> str:
        """When."""
        return cells.moment(row.made_at)

    @display(description="next attempt")
    def due(self, row: Message) -> str:
        """When it is tried next."""
        return cells.EMPTY if row.sent_at or row.failed_at else cells.moment(row.due_at)

    @display(description="attempts")
    def tries(self, row: Message) -> str:
        """How often it was tried."""
        return cells.number(row.attempts)

    @display(description="problem")
    def problem(self, row: Message) -> str:
        """Why it was not taken."""
        return cells.problem(row.error) or cells.EMPTY

    @display(description="text")
    def words(self, row: Message) -> str:
        """What it says, where the local gateway keeps it."""
        is_kept = row.content is not None and row.sent_at is not None
        return (
            cells.words(f"{row.content['to']}: {row.content['text']}")
            if is_kept and row.content
            else cells.EMPTY
        )
