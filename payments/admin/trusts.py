"""What the pages of trusts share: who reads them, and how minor units are written."""

from typing import Any

from django.db.models import Count
from django.http import HttpRequest

from payments.admin import cells, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.tables import Table
from payments.models import Role, Trust, TrustLeg, TrustPurse
from payments.prices import currency
from payments.selectors import trusts as selector
from payments.states import LegStatus


class OfTrusts(ProgramScopedAdmin):
    """Rows that concern all programs: whoever reads one, sets rules of one, or is on a board, reads them."""

    also = (Role.SECURITY,)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to members of boards too."""
        return may_look(request, *self.also)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let members of boards read too."""
        return may_look(request, *self.also)


def may_look(request: HttpRequest, *also: str) -> bool:
    """Say whether there is anything of trusts to show to the user."""
    is_member = bool(request.user.is_staff and selector.on_a_board(request.user))
    return scope.may_look(request, *also) or is_member


def to_decide(request: HttpRequest) -> list[Table]:
    """Return what waits for a member of a board to sign, or nothing where nothing does."""
    rows = [
        (
            cells.link(row),
            cells.link(row.trust),
            row.get_kind_display(),
            cells.person(row.made_by),
            cells.moment(row.expires_at),
        )
        for row in selector.waiting_for(request.user)
    ]
    headers = ("Decision", "Trust", "What", "Proposed by", "To be signed until")
    return [Table("Decisions to sign", headers, rows)] if rows else []


def units(value_minor: int | None, purse: TrustPurse) -> str:
    """Write minor units in whole ones, grouped, with their currency."""
    if value_minor is None:
        return cells.EMPTY
    return cells.figure(currency.in_words(value_minor, purse.currency))


def money(purse: TrustPurse) -> tuple[str, ...]:
    """Return a row of a trust's money in a currency."""
    figures = (
        purse.cash_minor,
        purse.owed_minor,
        purse.promised_minor,
        purse.floor_minor,
        purse.free_minor,
        purse.limit_minor,
    )
    return (purse.currency, *(units(value, purse) for value in figures))


def legs(trust: Trust) -> list[tuple[str, str]]:
    """Return a row for each state in which legs of the trust are, and how many those are."""
    counted = TrustLeg.objects.filter(trust=trust).order_by("status").values_list("status")
    return [
        (cells.label(status, LegStatus(status).label), cells.number(count))
        for status, count in counted.annotate(Count("pk"))
    ]
