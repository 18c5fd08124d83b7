"""Destinations in the admin."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from payments.admin import beneficiary, cells
from payments.admin.base import ProgramScopedAdmin, script_of
from payments.models import Destination, Role


@admin.register(Destination)
class DestinationAdmin(ProgramScopedAdmin):
    """Where the people of the user's programs are and were paid."""

    noun = "Address"
    also = (Role.HELPDESK,)
    list_display = ("address", "person", "state", "since", "given_by")
    list_select_related = ("created_by",)
    search_fields = ("script_pubkey",)
    search_help_text = "Search by exact address, or by script_pubkey in hex"
    fields = ("address_whole", "script", "person", "state", "since", "given_by")
    when_empty = "Destinations come with the people: upload them under Enrollments."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Destination]:
        """Return the destinations of people enrolled in the user's programs."""
        mine = beneficiary.visible_enrollments(request).values("beneficiary")
        rows = Destination.objects.filter(beneficiary__in=mine).select_related("beneficiary", "created_by")
        return rows.defer("beneficiary__personal")

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by address or script."""
        script = script_of(term)
        if script is None:
            try:
                script = bytes.fromhex(term)
            except ValueError:
                return Q(pk__in=[])
        return Q(script_pubkey=script)

    @display(description="address")
    def address(self, destination: Destination) -> str:
        """The address, shortened."""
        return cells.address_short(destination.script_pubkey)

    @display(description="address")
    def address_whole(self, destination: Destination) -> str:
        """The address."""
        return cells.address(destination.script_pubkey)

    @display(description="script_pubkey")
    def script(self, destination: Destination) -> str:
        """The script in hex."""
        return cells.whole(destination.script_pubkey)

    @display(description="person")
    def person(self, destination: Destination) -> str:
        """Whose it is."""
        return cells.link(destination.beneficiary, f"Person {destination.beneficiary_id}")

    @display(description="state")
    def state(self, destination: Destination) -> str:
        """Whether new lists pay there."""
        if destination.is_current:
            return cells.label("", "current", cells.GOOD)
        return cells.label("", "replaced")

    @display(description="since")
    def since(self, destination: Destination) -> str:
        """When it was given."""
        return cells.moment(destination.created_at)

    @display(description="given by")
    def given_by(self, destination: Destination) -> str:
        """Who wrote it down."""
        return cells.person(destination.created_by)
