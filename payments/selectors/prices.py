"""Reads prices: what is believed in each currency now, what every source said last, quotes, manual prices and breakers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet

from govpay.errors import NotFound
from payments.models import (
    ManualPrice,
    Membership,
    PriceBreaker,
    PriceReading,
    PriceRule,
    PriceSource,
    Quote,
    Role,
    SourceKind,
)
from payments.prices import quotes
from payments.services import prices as services

# They are of no program: whoever reads one reads them all, and whoever sets them does.
READERS = (Role.SECURITY,)


class Line(NamedTuple):
    """A source, what it said last as a quote would keep it, and what was wrong with its last answer."""

    source: PriceSource
    value: dict[str, Any]
    asked_at: datetime | None
    message: str


class Board(NamedTuple):
    """A currency: what is believed of it, and every source."""

    standing: quotes.Standing
    lines: list[Line]


def may_read(user: Any) -> bool:
    """Say whether the user reads prices: who reads a program, or sets rules of one."""
    return bool(Membership.objects.reading(user, *READERS).exists())


def require(*, user: Any, **ids: int) -> None:
    """Raise NotFound for whoever reads no prices."""
    if not may_read(user):
        raise NotFound("There is no such thing in your programs.")


def rules() -> QuerySet[PriceRule]:
    """Return the currencies whose prices are made."""
    return PriceRule.objects.select_related("status", "proposal").order_by("-pk")


def boards(found: Sequence[PriceRule], *, at: datetime) -> list[Board]:
    """Return what stands in these currencies at a moment, with as many statements for any number of them."""
    sources = quotes.sources(rule.currency for rule in found)
    said = quotes.said(sources)
    open_ones = {
        row.rule_id: row for row in breakers().filter(closed_at=None, rule__in=[rule.pk for rule in found])
    }
    made = []
    for rule in found:
        here = [place for place, source in enumerate(sources) if source.currency == rule.currency]
        heard = [said[place] for place in here]
        standing = quotes.judge(rule, rule.status, open_ones.get(rule.pk), heard, at=at)
        lines = [
            _line(sources[place], value) for place, value in zip(here, standing.verdict.values, strict=True)
        ]
        made.append(Board(standing, lines))
    return made


def quoted() -> QuerySet[Quote]:
    """Return every quote."""
    return Quote.objects.order_by("-pk")


def manual_prices() -> QuerySet[ManualPrice]:
    """Return the prices that people gave."""
    return ManualPrice.objects.select_related("source", "given_by", "confirmed_by", "withdrawn_by")


def manual_sources() -> QuerySet[PriceSource]:
    """Return the sources for which people give prices."""
    return PriceSource.objects.filter(kind=SourceKind.MANUAL, ended_at=None).order_by("currency", "name")


def breakers() -> QuerySet[PriceBreaker]:
    """Return the breakers that there were."""
    return PriceBreaker.objects.select_related("rule__status", "asked_by", "closed_by")


def waiting_for(user: Any) -> list[ManualPrice | PriceBreaker]:
    """Return what a treasurer confirms that somebody else gave or asked for, and breakers that nobody asked to close."""
    if not services.may_keep(user):
        return []
    given = manual_prices().filter(confirmed_at=None, withdrawn_at=None, source__ended_at=None)
    jumped = breakers().filter(closed_at=None)
    return [*given.exclude(given_by=user.pk).order_by("pk"), *jumped.exclude(asked_by=user.pk).order_by("pk")]


def _line(source: PriceSource, value: dict[str, Any]) -> Line:
    reading: PriceReading | None = getattr(source, "reading", None)
    if reading is None:
        return Line(source, value, None, "")
    return Line(source, value, reading.asked_at, reading.message)
