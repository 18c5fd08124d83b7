"""What the pages of prices share: who reads them, and how prices, times and reasons are written."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from payments.admin import cells, scope
from payments.admin.base import ProgramScopedAdmin
from payments.models import Role
from payments.prices import reading


class OfPrices(ProgramScopedAdmin):
    """Rows that concern all programs: whoever reads one, or sets rules of one, reads them all."""

    also = (Role.SECURITY,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return all rows to whoever may look."""
        rows = self.model._default_manager.order_by("-pk")
        return rows if scope.may_look(request, *self.also) else rows.none()


def number(value: Decimal | str | None, currency: str = "") -> str:
    """Write a price grouped by thousands, with its currency."""
    if value is None:
        return cells.EMPTY
    return cells.figure(reading.grouped(value, currency))


def percent(bps: int) -> str:
    """Write hundredths of a percent as percent."""
    return cells.figure(f"{Decimal(bps) / 100:f} %")


def is_setter(request: HttpRequest) -> bool:
    """Say whether the user proposes rules and sources: a security administrator of any program."""
    return any(Role.SECURITY in held for held in scope.roles(request).values())


def moment(text: str | None) -> str:
    """Write a time that JSON holds."""
    return cells.moment(datetime.fromisoformat(text) if text else None)


def used(value: dict[str, Any]) -> str:
    """Write whether a source's value is used, or why not."""
    if value["is_used"]:
        return cells.label("", "used", cells.GOOD)
    return cells.label("", value["why"].replace("_", " "), cells.BAD)
