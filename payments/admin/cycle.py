"""Cycles in the admin: the periods and purposes that a person is paid in at most once."""

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from unfold.decorators import display

from payments.admin import cells
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.admin.tables import Table
from payments.models import Cycle


@admin.register(Cycle)
class CycleAdmin(ProgramScopedAdmin):
    """Periods and purposes with their lists."""

    list_display = ("name", "program")
    list_select_related = ("program",)
    list_filter = (ProgramFilter,)
    search_fields = ("period",)
    search_help_text = "Search by period"
    fields = ("name", "program")
    when_empty = "A cycle is made together with its first list."

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by period."""
        return Q(period=term)

    def tables(self, request: HttpRequest, obj: Cycle) -> list[Table]:
        """Show the lists of the cycle."""
        lists = obj.disbursements.select_related("made_by", "program").order_by("-pk")[:50]
        return [
            Table(
                "Lists",
                ("List", "Status", "Payments", "Total", "Made by"),
                [
                    (
                        cells.link(d, f"List {d.pk}"),
                        cells.status_of(d),
                        cells.number(d.payment_count),
                        cells.money(d.total, d.program),
                        cells.person(d.made_by),
                    )
                    for d in lists
                ],
            )
        ]

    @display(description="cycle")
    def name(self, cycle: Cycle) -> str:
        """Period and purpose."""
        return cells.long(str(cycle))
