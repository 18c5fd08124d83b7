"""Decides what is believed of what sources say: the median of those that are fresh and agree, or the rule that is broken.

Nothing here asks anybody or reads a row. Prices are Decimals in major units a bitcoin; no float is made of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from payments.prices.reading import EXACT, PLACES, grouped, text_of

# three sources or more are set up, however many of them must agree.
FEWEST = 3
# A clock elsewhere may be ahead of ours by so much.
SKEW = timedelta(seconds=60)
BPS = 10_000


class Broken(StrEnum):
    """The rule that stands against a price."""

    NO_RULE = "no_rule"  # Nobody said how a price in the currency is made, or it was switched off.
    FEW_SOURCES = "few_sources"  # Fewer than three are set up.
    LEAST_SOURCES = "least_sources"  # Too few of them said something fresh.
    SPREAD = "spread"  # Too few of the fresh ones agree.
    FLOOR = "floor"
    CEILING = "ceiling"
    JUMP = "jump"  # Too far from the last accepted price.
    BREAKER = "breaker"  # It jumped before, and two people have not closed the breaker.


class Why(StrEnum):
    """Why a source's value is not used, where the source has no fault of its own."""

    SILENT = "nothing_said"
    STALE = "stale"
    FUTURE = "from_the_future"
    OUTLIER = "outlier"


@dataclass(frozen=True)
class Said:
    """What a source said last; ``fault`` where that is no price."""

    source: int
    name: str
    kind: str
    fresh_s: int
    value: Decimal | None
    value_at: datetime | None
    fault: str = ""


@dataclass(frozen=True)
class Terms:
    """The rule of a currency."""

    currency: str
    least_sources: int
    spread_bps: int
    jump_bps: int
    floor: Decimal
    ceiling: Decimal


class Verdict(NamedTuple):
    """The price, also where it breaks a rule but there is one; the rule, else empty; why; and what each source said."""

    price: Decimal | None
    broken: str
    message: str
    values: list[dict[str, Any]]


def judge(terms: Terms, said: Sequence[Said], *, at: datetime, accepted: Decimal | None) -> Verdict:
    """Return what is to be believed at a moment, given the last accepted price."""
    why = {one.source: _unfit(one, at) for one in said}
    fresh = [one for one in said if not why[one.source]]
    middle = _median([one.value for one in fresh if one.value is not None])
    for one in fresh:
        if middle and one.value is not None and _is_beyond(one.value, middle, terms.spread_bps):
            why[one.source] = Why.OUTLIER
    agreed = [one.value for one in fresh if not why[one.source] and one.value is not None]
    price = _median(agreed)
    broken, message = _broken(terms, len(said), len(fresh), len(agreed), price, accepted)
    if broken in (Broken.FEW_SOURCES, Broken.LEAST_SOURCES, Broken.SPREAD):
        price = None
    return Verdict(price, broken, message, [_shown(one, why[one.source]) for one in said])


def jump_bps(price: Decimal, accepted: Decimal) -> int:
    """Return how far a price is from the last accepted one, in hundredths of a percent of that, rounded down."""
    return int(EXACT.divide(EXACT.multiply(abs(price - accepted), BPS), accepted))


def _unfit(one: Said, at: datetime) -> str:
    if one.value is None or one.value_at is None:
        return one.fault or Why.SILENT
    if one.value_at > at + SKEW:
        return Why.FUTURE
    return Why.STALE if at - one.value_at >= timedelta(seconds=one.fresh_s) else ""


def _broken(
    terms: Terms, count: int, fresh: int, agreed: int, price: Decimal | None, accepted: Decimal | None
) -> tuple[str, str]:
    """Return the first rule that is broken, with a sentence; or nothing."""
    if count < FEWEST:
        return Broken.FEW_SOURCES, f"{count} sources are set up, and a price takes {FEWEST}."
    if fresh < terms.least_sources:
        return (
            Broken.LEAST_SOURCES,
            f"{fresh} of {count} sources say a fresh price, and {terms.least_sources} must.",
        )
    # Those that agree are a majority too: else a few could outvote the rest around a median that is nobody's.
    needed = max(terms.least_sources, fresh // 2 + 1)
    if price is None or agreed < needed:
        limit = f"{terms.spread_bps} bps of the median"
        return Broken.SPREAD, f"{agreed} of {fresh} fresh prices are within {limit}, and {needed} must be."
    shown = grouped(price, terms.currency)
    if price < terms.floor:
        return Broken.FLOOR, f"The price of {shown} is below the floor of {grouped(terms.floor)}."
    if price > terms.ceiling:
        return Broken.CEILING, f"The price of {shown} is above the ceiling of {grouped(terms.ceiling)}."
    if accepted is not None and _is_beyond(price, accepted, terms.jump_bps):
        last = f"the last accepted price of {grouped(accepted)}, and {terms.jump_bps} are the limit"
        return Broken.JUMP, f"The price of {shown} is {jump_bps(price, accepted):,} bps from {last}."
    return "", ""


def _median(values: Sequence[Decimal]) -> Decimal | None:
    """Return the middle value, or of an even number the mean of the two, to eight places by half-even."""
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    both = EXACT.add(ordered[middle - 1], ordered[middle])
    return EXACT.divide(both, Decimal(2)).quantize(PLACES, context=EXACT)


def _is_beyond(value: Decimal, middle: Decimal, limit_bps: int) -> bool:
    distance = EXACT.multiply(abs(value - middle), Decimal(BPS))
    return distance > EXACT.multiply(middle, Decimal(limit_bps))


def _shown(one: Said, why: str) -> dict[str, Any]:
    return {
        "source": one.source,
        "name": one.name,
        "kind": one.kind,
        "value": text_of(one.value),
        "value_at": None if one.value_at is None else one.value_at.isoformat(),
        "is_used": not why,
        "why": str(why),
    }
