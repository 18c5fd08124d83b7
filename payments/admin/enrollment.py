"""Enrollments in the admin: the way in for files of people and for single persons."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import (
    account_change,
    address_proof,
    beneficiary,
    cells,
    choice,
    consent_text,
    erasure,
    forms,
    lodging,
    pages,
    scope,
    uploads,
)
from payments.admin.base import ProgramScopedAdmin, script_of
from payments.admin.filters import ProgramFilter
from payments.admin.tables import Notice, Table
from payments.models import Destination, Enrollment, Role
from payments.services import destinations


@admin.register(Enrollment)
class EnrollmentAdmin(ProgramScopedAdmin):
    """Who is enrolled in the user's programs; the way in for files of people and for single persons."""

    also = (Role.HELPDESK,)
    list_display = ("reference", "program", "masked_name", "paid_at", "enrolled")
    list_select_related = ("program", "beneficiary")
    list_filter = (ProgramFilter,)
    date_hierarchy = "created_at"
    search_fields = ("reference",)
    search_help_text = "Search by reference or exact address"
    fields = ("reference", "program", "person", "paid_at_whole", "enrolled", "enrolled_by")
    actions_list = ("import_people", "enroll_person")
    actions_detail = (
        "change_address",
        "change_account",
        "elect",
        "ask_proof",
        "record_consent",
        "lodge_appeal",
        "erase",
    )
    when_empty = "Nobody is enrolled yet. An officer uploads a file of people, or enrolls one person."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Enrollment]:
        """Return the enrollments of the user's programs, each with the current destination."""
        current = Prefetch(
            "beneficiary__destinations", Destination.objects.filter(is_current=True), to_attr="current"
        )
        rows: QuerySet[Enrollment] = super().get_queryset(request)
        return rows.select_related("program", "beneficiary", "created_by").prefetch_related(current)

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by reference, or by the address that somebody is paid at now."""
        script = script_of(term)
        if script is not None:
            holders = Destination.objects.filter(script_pubkey=script, is_current=True)
            return Q(beneficiary__in=holders.values("beneficiary"))
        return Q(reference=term)

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer the ways in to officers."""
        offered = super().get_actions_list(request)
        return offered if scope.programs_as(request, Role.OFFICER).exists() else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer officers of the program what they may do; an appeal where a list excludes the person."""
        row = self.get_object(request, str(object_id))
        if row is None or not scope.holds(request, row.program_id, Role.OFFICER):
            return []
        left_out = {
            *(() if lodging.notices(row) else ("lodge_appeal",)),
            *(() if choice.may_elect() else ("elect",)),
        }
        names = [name for name in self.actions_detail if name not in left_out]
        return [self.get_unfold_action(name) for name in names]

    @action(description="Upload people", url_path="import", icon="upload_file", variant=ActionVariant.PRIMARY)
    def import_people(self, request: HttpRequest) -> HttpResponse:
        """Enroll a file of people."""
        return uploads.people_file(self, request)

    @action(description="Enroll one person", url_path="enroll", icon="person_add")
    def enroll_person(self, request: HttpRequest) -> HttpResponse:
        """Enroll one person."""
        return uploads.one_person(self, request)

    @action(description="Change address", url_path="change-address", icon="swap_horiz")
    def change_address(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Propose to pay the person somewhere else."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            made = destinations.propose(
                by=request.user,  # type: ignore[arg-type]
                enrollment_id=row.pk,
                address=cleaned["address"],
                note=cleaned["note"],
            )
            messages.success(
                request, said("{0} is paid at the old address until somebody else confirms.", row.reference)
            )
            return HttpResponseRedirect(cells.page_of(made))

        return pages.answer(
            self,
            request,
            pages.Page(
                title=said("Change the address of {0}", row.reference),
                form_class=forms.AddressForm,
                call=call,
                submit="Propose the change",
                back=cells.page_of(row),
                facts=[("Program", str(row.program)), ("Now paid at", self.paid_at_whole(row))],
                help_text="A second officer or an approver confirms it; then it cools before anything is paid there. Lists "
                "that were submitted already keep the address they were submitted with.",
            ),
        )

    @action(description="Change bank account", url_path="change-account", icon="account_balance")
    def change_account(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Propose to pay the person at another account in a bank."""
        return account_change.propose(self, request, self.get_row(request, object_id))

    @action(description="Record what they want", url_path="elect", icon="currency_exchange")
    def elect(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Write down whether the person wants bitcoin, or a currency of a trust."""
        return choice.elect(self, request, self.get_row(request, object_id))

    @action(description="Ask for a proof of control", url_path="proof", icon="verified_user")
    def ask_proof(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make a challenge that the person signs with the key of an address."""
        return address_proof.ask(self, request, self.get_row(request, object_id))

    @action(description="Record consent", url_path="consent", icon="handshake")
    def record_consent(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take down what the person said to a text."""
        return consent_text.ask(self, request, self.get_row(request, object_id))

    @action(
        description="Ask for erasure", url_path="erase", icon="person_remove", variant=ActionVariant.DANGER
    )
    def erase(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask that what is known of the person is destroyed."""
        return erasure.ask(self, request, self.get_row(request, object_id))

    @action(description="Record an appeal", url_path="appeal", icon="balance")
    def lodge_appeal(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take down what the person says against an exclusion."""
        return lodging.ask(self, request, self.get_row(request, object_id))

    def notices(self, request: HttpRequest, obj: Enrollment) -> list[Notice]:
        """Say which lists exclude the person."""
        return lodging.notices(obj)

    def tables(self, request: HttpRequest, obj: Enrollment) -> list[Table]:
        """Show what the program paid this person, and where it paid before."""
        return [
            beneficiary.payments_table(request, obj.beneficiary_id, program_id=obj.program_id),
            beneficiary.destinations_table(obj.beneficiary_id),
            *choice.table(obj),
            consent_text.table(obj),
        ]

    @display(description="name")
    def masked_name(self, enrollment: Enrollment) -> str:
        """The initials."""
        return cells.long(cells.masked(enrollment.beneficiary.personal.get("full_name", "")))

    @display(description="person")
    def person(self, enrollment: Enrollment) -> str:
        """The initials, and the way to the person's page."""
        return cells.link(
            enrollment.beneficiary, cells.masked(enrollment.beneficiary.personal.get("full_name", ""))
        )

    @display(description="paid at")
    def paid_at(self, enrollment: Enrollment) -> str:
        """The current address, shortened."""
        current = enrollment.beneficiary.current  # type: ignore[attr-defined]
        return cells.address_short(current[0].script_pubkey) if current else cells.EMPTY

    @display(description="paid at")
    def paid_at_whole(self, enrollment: Enrollment) -> str:
        """The current address."""
        current = enrollment.beneficiary.current  # type: ignore[attr-defined]
        return cells.address(current[0].script_pubkey) if current else cells.EMPTY

    @display(description="enrolled")
    def enrolled(self, enrollment: Enrollment) -> str:
        """Since when."""
        return cells.moment(enrollment.created_at)

    @display(description="enrolled by")
    def enrolled_by(self, enrollment: Enrollment) -> str:
        """By whom."""
        return cells.person(enrollment.created_by)
