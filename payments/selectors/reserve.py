"""Reads holdings of the public sector, the newest scan that stands, and what it found."""

from typing import Any, NamedTuple

from django.db.models import Count, Q, QuerySet, Sum

from ledger.models import ReserveBalance, ReserveScan
from ledger.treasury import reserve
from payments.models import Holding, ReserveStatus
from payments.selectors import prices


class Total(NamedTuple):
    """What a scan found of a holding: satoshis on so many addresses, and how many of them are not as they should be."""

    holding_number: int
    scope: str
    holding: str
    badge: str
    amount_sat: int
    address_count: int
    reused_count: int
    over_cap_count: int


class Standing(NamedTuple):
    """Where scanning stands, the newest scan that stands, and what it found of each holding."""

    state: str
    status: ReserveStatus | None
    scan: ReserveScan | None
    totals: list[Total]


def require(*, user: Any, **ids: int) -> None:
    """Raise NotFound for whoever reads nothing of it: it is of no program, as prices are."""
    prices.require(user=user)


def holdings() -> QuerySet[Holding]:
    """Return every holding with the number of its addresses."""
    return Holding.objects.annotate(address_count=Count("addresses")).order_by("-pk")


def scans() -> QuerySet[ReserveScan]:
    """Return every scan, those whose block left the chain among them."""
    return ReserveScan.objects.select_related("loss").order_by("-pk")


def standing() -> Standing:
    """Return what is known now."""
    status = ReserveStatus.objects.first()
    scan = reserve.standing().first()
    found = [] if scan is None else totals(scan)
    return Standing("waiting" if status is None else status.state, status, scan, found)


def totals(scan: ReserveScan) -> list[Total]:
    """Return what a scan found of each holding, with one statement."""
    rows = (
        ReserveBalance.objects.filter(scan=scan)
        .values("holding_number", "scope", "holding", "badge")
        .annotate(
            total_sat=Sum("amount_sat"),
            address_count=Count("pk"),
            reused_count=Count("pk", filter=Q(is_reused=True)),
            over_cap_count=Count("pk", filter=Q(is_over_cap=True)),
        )
        .order_by("scope", "holding", "holding_number")
    )
    # A sum of bigint is numeric.
    return [Total(amount_sat=int(row.pop("total_sat")), **row) for row in rows]


def balances(holding: Holding) -> QuerySet[ReserveBalance]:
    """Return what the newest scan that stands found of a holding's addresses."""
    found: Any = ReserveBalance.objects.filter(holding_number=holding.pk)
    return found.filter(scan=reserve.standing().values("pk")[:1]).order_by("pk")
