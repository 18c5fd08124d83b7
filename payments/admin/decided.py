"""Pages of what one person asked for about somebody in a program, and another decided: appeals, addresses, erasures."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from payments.admin import cells, reasons
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter


class DecidedAdmin(ProgramScopedAdmin):
    """Program, person, outcome and decider of each; ``keyword`` is what services call the row's number."""

    keyword: ClassVar[str]
    tones: ClassVar[Mapping[Any, str]]
    # Read with each row, besides program, person and decider.
    joined: ClassVar[tuple[str, ...]]
    list_filter: Any = (ProgramFilter, ("outcome", ChoicesDropdownFilter))
    search_fields: Any = ("pk",)
    search_help_text = "Search by number"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return those of the user's programs, without what is known of the people."""
        rows: QuerySet[Any] = super().get_queryset(request)
        joined = rows.select_related("program", "beneficiary", "decided_by", *self.joined)
        return joined.defer("beneficiary__personal")

    def facts(self, row: Any) -> list[tuple[str, Any]]:
        """Return what is looked at before it is decided."""
        raise NotImplementedError

    def decide(
        self,
        request: HttpRequest,
        object_id: str,
        service: Callable[..., object],
        *,
        title: str,
        done: str,
        help_text: str = "",
        is_dangerous: bool = False,
    ) -> HttpResponse:
        """Ask why beside the facts, and make the one service call."""
        row = self.get_row(request, object_id)
        if request.method == "GET" and row.decided_at is not None:
            # Its page says who decided what, and when.
            return HttpResponseRedirect(cells.page_of(row))
        return reasons.ask(
            self,
            request,
            row,
            title=title,
            call=lambda note: service(by=request.user, note=note, **{self.keyword: row.pk}),
            done=done,
            facts=self.facts(row),
            help_text=help_text,
            is_dangerous=is_dangerous,
        )

    @display(description="program")
    def program_name(self, row: Any) -> str:
        """Where it was asked for."""
        return str(row.program)

    @display(description="person")
    def person(self, row: Any) -> str:
        """Whom it is about."""
        return cells.link(row.beneficiary, f"Person {row.beneficiary_id}")

    @display(description="state")
    def state(self, row: Any) -> str:
        """What became of it."""
        return cells.label("", row.get_outcome_display(), self.tones[row.outcome])

    @display(description="decided by")
    def decider(self, row: Any) -> str:
        """Who decided."""
        return cells.person(row.decided_by)

    @display(description="decided")
    def decided(self, row: Any) -> str:
        """When."""
        return cells.moment(row.decided_at)

    @display(description="why")
    def decision(self, row: Any) -> str:
        """What the decider wrote."""
        return cells.long(row.decision_note)
