"""People in the admin: masked in lists, named on their own page, to members of one of their programs."""

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from payments.admin import cells, scope
from payments.admin.base import ProgramScopedAdmin, is_number, script_of
from payments.admin.tables import Table
from payments.models import Beneficiary, Destination, Enrollment, Payment, Role
from payments.models.beneficiary import mask_phone


def visible_enrollments(request: HttpRequest) -> QuerySet[Enrollment]:
    """Return the enrollments in the user's programs."""
    return scope.limit(request, Enrollment.objects.all(), "program", Role.HELPDESK)


@admin.register(Beneficiary)
class BeneficiaryAdmin(ProgramScopedAdmin):
    """The people of the user's programs; names and telephones only on a person's page, to members."""

    noun = "Person"
    also = (Role.HELPDESK,)
    list_display = ("number", "masked_name", "places", "since")
    list_filter = ()
    search_fields = ("pk",)
    search_help_text = "Search by reference, number or exact address"
    fields = ("number", "full_name", "phone", "since")
    when_empty = "Nobody is enrolled yet. An officer uploads a file of people under Enrollments."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Beneficiary]:
        """Return the people enrolled in the user's programs, with those enrollments only."""
        mine = visible_enrollments(request)
        rows = Beneficiary.objects.filter(pk__in=mine.values("beneficiary"))
        return rows.prefetch_related(
            Prefetch("enrollments", mine.select_related("program"), to_attr="visible")
        )

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by a reference in the user's programs, by number, or by the current address."""
        script = script_of(term)
        if script is not None:
            return Q(destinations__script_pubkey=script, destinations__is_current=True)
        found = Q(pk__in=visible_enrollments(request).filter(reference=term).values("beneficiary"))
        return found | Q(pk=int(term)) if is_number(term) else found

    def tables(self, request: HttpRequest, obj: Any) -> list[Table]:
        """Show the enrollments, payments and addresses that the user may see."""
        return [
            Table(
                "Enrollments",
                ("Reference", "Program", "Since"),
                [
                    (cells.link(e, e.reference), cells.link(e.program), cells.moment(e.created_at))
                    for e in obj.visible
                ],
            ),
            payments_table(request, obj.pk),
            destinations_table(obj.pk),
        ]

    @display(description="number")
    def number(self, person: Beneficiary) -> str:
        """The registry's number."""
        return str(person.pk)

    @display(description="name")
    def masked_name(self, person: Beneficiary) -> str:
        """The initials."""
        return cells.long(cells.masked(person.personal.get("full_name", "")))

    @display(description="name")
    def full_name(self, person: Beneficiary) -> str:
        """The name."""
        return cells.long(person.personal.get("full_name", ""))

    @display(description="telephone")
    def phone(self, person: Beneficiary) -> str:
        """The telephone number."""
        return cells.long(person.personal.get("phone", ""))

    @display(description="telephone")
    def masked_phone(self, person: Beneficiary) -> str:
        """The last two digits."""
        return cells.long(mask_phone(person.personal.get("phone", "")))

    @display(description="enrolled as")
    def places(self, person: Any) -> str:
        """The references in the user's programs."""
        return cells.join(*(cells.link(e, f"{e.program} {e.reference}") for e in person.visible))

    @display(description="in the registry since")
    def since(self, person: Beneficiary) -> str:
        """When the person was first enrolled."""
        return cells.moment(person.created_at)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Mask name and telephone for the help desk, and for somebody who is in none of the person's programs."""
        is_member = obj is not None and any(e.program_id in scope.reads(request) for e in obj.visible)
        names = ("full_name", "phone") if is_member else ("masked_name", "masked_phone")
        return ((None, {"fields": ("number", *names, "since")}),)


def payments_table(request: HttpRequest, beneficiary_id: int, program_id: int | None = None) -> Table:
    """Return what the user's programs (or one of them) paid a person."""
    rows = scope.limit(
        request, Payment.objects.filter(beneficiary_id=beneficiary_id), "disbursement__program", Role.HELPDESK
    )
    if program_id is not None:
        rows = rows.filter(disbursement__program_id=program_id)
    rows = rows.select_related("disbursement__cycle", "disbursement__program", "payout")
    return Table(
        "Payments",
        ("Payment", "Program", "Cycle", "Amount", "Status", "On chain"),
        [
            (
                cells.link(p, f"Payment {p.pk}"),
                str(p.disbursement.program),
                str(p.disbursement.cycle),
                cells.money(p.amount, p.disbursement.program),
                cells.status_of(p),
                cells.status_of(p.payout) if p.payout else cells.EMPTY,
            )
            for p in rows.order_by("-pk")[:20]
        ],
        "Never on a list yet.",
    )


def destinations_table(beneficiary_id: int) -> Table:
    """Return where a person is and was paid."""
    rows = Destination.objects.filter(beneficiary_id=beneficiary_id).select_related("created_by")
    return Table(
        "Addresses",
        ("Address", "State", "Since", "Given by"),
        [
            (
                cells.address(d.script_pubkey),
                cells.label("", "current", cells.GOOD) if d.is_current else cells.label("", "replaced"),
                cells.moment(d.created_at),
                cells.person(d.created_by),
            )
            for d in rows.order_by("-pk")[:20]
        ],
        "No address yet: nothing is paid before the person brings one, or an officer gives one.",
    )
