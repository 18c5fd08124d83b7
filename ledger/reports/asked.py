"""What is asked of a report, read once: whose books, which time, and as they were known when."""

import re
from dataclasses import asdict, dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from govpay.errors import InvalidInput, NotFound
from ledger import selectors
from ledger.models import Account, Layer, LotMovement
from ledger.reports.report import Document

MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)
INSTANT = timedelta(microseconds=1)
# A beginning is said in one of these ways; the first period has none.
BEGINNINGS = ("month", "period", "since")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Entries from ``since`` on (None: from the first) and before ``before``, of what was written up to ``known_at``.

    Before it ``is_over``, more may take effect in this time.
    """

    scope: str | None
    account: str | None
    person: str | None
    layer: str
    since: datetime | None
    before: datetime
    known_at: datetime
    is_over: bool

    @property
    def year_start(self) -> datetime:
        """The beginning of the fiscal year in which the time ends."""
        month = settings.LEDGER_FISCAL_YEAR_MONTH
        last = (self.before - INSTANT).astimezone(UTC)
        return datetime(last.year - (last.month < month), month, 1, tzinfo=UTC)

    def values(self) -> dict[str, Any]:
        """Return the parameters of the statements; ``as_of`` is the last moment that counts."""
        return asdict(self) | {"as_of": self.before - INSTANT, "year_start": self.year_start}


def ask(document: Document, *, now: datetime, **given: Any) -> Asked:
    """Read what was given for a document, leaving out what is None; raise InvalidInput with the parameter, NotFound.

    ``month`` (2026-11, in UTC) and ``period`` (its name) say both ends; without an end it is ``known_at``, without that now.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen:
        if name not in document.parameters:
            raise _invalid(name, f"{document.title} takes no {name}.", "unknown_parameter")
    for name in chosen.keys() & {"since", "before", "known_at"}:
        # A fiscal year begins before each, and a moment lies before and after.
        if not 1 < chosen[name].year < MAXYEAR:
            raise _invalid(name, "The time lies beyond all years that can be reported.")
    known_at = chosen.get("known_at", now)
    since, before = _read_time(chosen)
    before = before or known_at
    asked = Asked(
        scope=chosen.get("scope"),
        account=chosen.get("account"),
        person=chosen.get("person"),
        layer=chosen.get("layer", Layer.SETTLED.value),
        since=since if document.has_beginning else None,
        before=before,
        known_at=known_at,
        is_over=before <= now,
    )
    if asked.layer not in Layer.values:
        raise _invalid("layer", f"There is no layer {asked.layer!r}.")
    if asked.since is not None and asked.since >= asked.before:
        raise _invalid("since", "It must begin before it ends.")
    for name in document.needs:
        if getattr(asked, name) is None:
            ways = BEGINNINGS if name == "since" else (name,)
            raise _invalid(name, f"{document.title} needs {' or '.join(ways)}.", "required", ways=ways)
    if asked.account is not None and not Account.objects.filter(code=asked.account).exists():
        raise NotFound(f"There is no account {asked.account}.", account=asked.account)
    if asked.person is not None and not LotMovement.objects.filter(person=asked.person).exists():
        raise NotFound(f"Nothing was disposed of for {asked.person}.", person=asked.person)
    return asked


def _read_time(chosen: dict[str, Any]) -> tuple[datetime | None, datetime | None]:
    ways = [names for names in (("month",), ("period",), ("since", "before")) if chosen.keys() & set(names)]
    if len(ways) > 1:
        raise _invalid(ways[0][0], "Name the time once: by month, by period, or by its ends.")
    if "month" in chosen:
        found = MONTH.fullmatch(chosen["month"])
        if found is None or not "0001" < found[1] < "9999":
            raise _invalid("month", f"{chosen['month']!r} is no month such as 2026-11.")
        year, month = int(found[1]), int(found[2])
        return datetime(year, month, 1, tzinfo=UTC), datetime(
            year + month // 12, month % 12 + 1, 1, tzinfo=UTC
        )
    if "period" in chosen:
        period = selectors.get_period(chosen["period"])
        return period.starts_at, period.ends_at
    return chosen.get("since"), chosen.get("before")


def _invalid(name: str, message: str, code: str = "invalid", **details: Any) -> InvalidInput:
    errors = [{"row": 0, "column": name, "code": code, "message": message}]
    return InvalidInput(message, errors=errors, **details)
