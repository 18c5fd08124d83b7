"""Groups of people whom public figures are about, and what of them is told.

A figure about fewer than LEAST people is not told, nor what it could be computed from: the months of a program add up to
its total, so that where one is left out, the smallest of the others is left out too. No sum over programs or rails is told.
"""

from typing import Any, NamedTuple

from django.db import connection

LEAST = 5


class Group(NamedTuple):
    """Payments of a group of people: how many of both, and how much, in satoshis or minor units."""

    payments: int
    people: int
    amount: int

    @property
    def is_small(self) -> bool:
        """Whether it is so small that somebody could be told apart."""
        return 0 < self.people < LEAST


NOBODY = Group(0, 0, 0)


def hidden(months: dict[str, Group]) -> set[str]:
    """Return the months that are left out: small ones, and another where a single one could be computed from the total."""
    small = {month for month, group in months.items() if group.is_small}
    others = [month for month in months if month not in small]
    if len(small) == 1 and others:
        small.add(min(others, key=lambda month: (months[month].people, month)))
    return small


def told(group: Group, unit: str) -> dict[str, Any] | None:
    """Return a group for JSON, its amount as text under this name; None where it is small."""
    if group.is_small:
        return None
    return {"payments": group.payments, "people": group.people, unit: str(group.amount)}


def months(found: dict[str, Group], unit: str) -> list[dict[str, Any]]:
    """Return what was paid in each month, and None for those that are left out."""
    left_out = hidden(found)
    return [
        {"month": month, "paid": None if month in left_out else told(group, unit)}
        for month, group in sorted(found.items())
    ]


def waits(paid: dict[str, Any] | None, p50_s: float | None, p95_s: float | None) -> dict[str, Any] | None:
    """Return within how many seconds half and 95 of 100 of so many payments settled; None where they are not told."""
    if paid is None or p50_s is None or p95_s is None:
        return None
    return {"payments": paid["payments"], "p50_s": round(p50_s), "p95_s": round(p95_s)}


def rows(sql: str) -> list[tuple[Any, ...]]:
    """Return what a statement finds."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())
