"""Links by which people claim, in the admin: whose, how they went out, and what became of each."""

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from payments.admin import cells
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.models import ClaimLink, Role
from payments.services import claims


@admin.register(ClaimLink)
class ClaimLinkAdmin(ProgramScopedAdmin):
    """Links that were made; nobody can read one again."""

    program_path = "enrollment__program"
    also = (Role.HELPDESK,)
    noun = "Claim link"
    list_display = ("number", "person", "how", "state", "made", "expires")
    list_filter = (ProgramFilter, ("channel", ChoicesDropdownFilter))
    list_select_related = ("enrollment__program", "made_by", "code_by")
    search_fields = ("pk",)
    search_help_text = "Search by number"
    fields = ("person", "how", "state", "wrong", "made", "maker", "expires", "code_from", "destination_link")
    when_empty = "No link was made yet; officers send or print them under Entitlements."

    @display(description="link")
    def number(self, row: ClaimLink) -> str:
        """Its number."""
        return str(row)

    @display(description="person")
    def person(self, row: ClaimLink) -> str:
        """Whose it is."""
        return cells.link(row.enrollment)

    @display(description="channel")
    def how(self, row: ClaimLink) -> str:
        """How it went out."""
        return row.get_channel_display()

    @display(description="state")
    def state(self, row: ClaimLink) -> str:
        """Whether it counts."""
        if row.used_at is not None:
            return cells.join(cells.label("", "used", cells.GOOD), cells.moment(row.used_at))
        if row.attempts >= claims.MOST_ATTEMPTS:
            return cells.label("", "locked", cells.BAD)
        return cells.label("", "ended", cells.PLAIN) if row.ended_at else cells.label("", "out", cells.BUSY)

    @display(description="wrong attempts")
    def wrong(self, row: ClaimLink) -> str:
        """How often what was typed did not fit."""
        return cells.number(row.attempts)

    @display(description="made")
    def made(self, row: ClaimLink) -> str:
        """When."""
        return cells.moment(row.made_at)

    @display(description="made by")
    def maker(self, row: ClaimLink) -> str:
        """By whom."""
        return cells.person(row.made_by)

    @display(description="expires")
    def expires(self, row: ClaimLink) -> str:
        """Until when it counts."""
        return cells.moment(row.expires_at)

    @display(description="code handed out by")
    def code_from(self, row: ClaimLink) -> str:
        """Who saw the person's papers."""
        return cells.person(row.code_by)

    @display(description="address")
    def destination_link(self, row: ClaimLink) -> str:
        """What was brought."""
        return cells.link(row.destination)
