"""What people elected to be paid in, and the bitcoin legs that trusts took for it, in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from payments.admin import cells, scope, trusts
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import by_number
from payments.admin.tables import Table, history
from payments.models import Election, TrustLeg


@admin.register(TrustLeg)
class TrustLegAdmin(ProgramScopedAdmin):
    """Bitcoin legs of payments whose people elected currency."""

    noun = "Leg"
    program_path = "payment__disbursement__program"
    list_display = ("name", "trust", "payment_link", "amount", "value", "state", "why")
    list_filter = (
        by_number("trust", "trust"),
        ("status", ChoicesDropdownFilter),
        ("refusal", ChoicesDropdownFilter),
    )
    when_empty = "Nobody on a submitted list has elected currency yet."
    fieldsets = (
        (None, {"fields": ("trust_link", "payment_link", "state", "why", "chosen")}),
        ("Worth", {"fields": ("amount", "value", "quote_link")}),
        ("Times", {"fields": ("asked", "taken", "owed")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrustLeg]:
        """Return the legs of the user's programs, and of the trusts on whose board they are."""
        rows = TrustLeg.objects.select_related("trust", "purse__trust", "payment", "quote").order_by("-pk")
        if scope.sees_everything(request):
            return rows
        seats = Q(trust__seats__user=request.user.pk, trust__seats__ended_at=None)
        return rows.filter(Q(**{f"{self.program_path}__in": scope.reads(request)}) | seats).distinct()

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show them to members of boards too."""
        return trusts.may_look(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let members of boards read too."""
        return trusts.may_look(request)

    def tables(self, request: HttpRequest, obj: TrustLeg) -> list[Table]:
        """Show its history."""
        return [history("leg", obj.pk)]

    @display(description="leg")
    def name(self, row: TrustLeg) -> str:
        """Its number."""
        return str(row)

    @display(description="trust")
    def trust_link(self, row: TrustLeg) -> str:
        """Who was asked."""
        return cells.link(row.trust)

    @display(description="payment")
    def payment_link(self, row: TrustLeg) -> str:
        """Whose bitcoin."""
        return cells.link(row.payment)

    @display(description="bitcoin")
    def amount(self, row: TrustLeg) -> str:
        """How much the trust gets."""
        return cells.sat(row.amount_sat)

    @display(description="worth")
    def value(self, row: TrustLeg) -> str:
        """What the trust owes for it."""
        return trusts.units(row.value_minor, row.purse)

    @display(description="state")
    def state(self, row: TrustLeg) -> str:
        """Where it stands."""
        return cells.status_of(row)

    @display(description="not taken because")
    def why(self, row: TrustLeg) -> str:
        """Why the trust did not take it."""
        return cells.long(row.get_refusal_display()) if row.refusal else cells.EMPTY

    @display(description="taken instead")
    def chosen(self, row: TrustLeg) -> str:
        """What its person chose then."""
        return cells.long(row.get_instead_display()) if row.instead else cells.EMPTY

    @display(description="quote")
    def quote_link(self, row: TrustLeg) -> str:
        """At which price."""
        return cells.link(row.quote)

    @display(description="asked")
    def asked(self, row: TrustLeg) -> str:
        """When its list was submitted."""
        return cells.moment(row.asked_at)

    @display(description="taken")
    def taken(self, row: TrustLeg) -> str:
        """When its list was released."""
        return cells.moment(row.taken_at)

    @display(description="owed since")
    def owed(self, row: TrustLeg) -> str:
        """When its payout had settled."""
        return cells.moment(row.owed_at)


@admin.register(Election)
class ElectionAdmin(ProgramScopedAdmin):
    """What people elected to be paid in; the last of each counts."""

    noun = "Election"
    program_path = "enrollment__program"
    list_display = ("name", "person", "choice", "payer", "maker", "made")
    list_filter = (("choice", ChoicesDropdownFilter),)
    when_empty = "Nobody has elected anything: all are paid in bitcoin."
    fieldsets = ((None, {"fields": ("person", "choice", "payer", "reason", "maker", "made")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Election]:
        """Return those of the user's programs."""
        return super().get_queryset(request).select_related("enrollment", "purse__trust", "made_by")

    @display(description="election")
    def name(self, row: Election) -> str:
        """Its number."""
        return str(row)

    @display(description="person")
    def person(self, row: Election) -> str:
        """Who elected."""
        return cells.link(row.enrollment)

    @display(description="paid by")
    def payer(self, row: Election) -> str:
        """The trust, and the currency."""
        return cells.EMPTY if row.purse is None else cells.link(row.purse.trust, str(row.purse))

    @display(description="how it was told")
    def reason(self, row: Election) -> str:
        """What the officer wrote, or that the person said it alone."""
        return cells.long(row.note) if row.code_id is None else cells.words("By the person, with a code")

    @display(description="written down by")
    def maker(self, row: Election) -> str:
        """Which officer, if one did."""
        return cells.EMPTY if row.made_by is None else cells.person(row.made_by)

    @display(description="written down")
    def made(self, row: Election) -> str:
        """When."""
        return cells.moment(row.made_at)
