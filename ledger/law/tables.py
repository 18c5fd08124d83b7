"""Reads files of dated rules strictly: what is missing, unknown or of another type is named with its file and place."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any


class BadTable(Exception):
    """A file of rules breaks a rule about rules: nothing of it is used, and govpay does not start."""


@dataclass(frozen=True)
class Span:
    """The days from ``first`` on and before ``end`` (None: until today and on), which begin at 00:00 UTC."""

    first: date
    end: date | None = None

    def holds(self, at: datetime) -> bool:
        """Tell whether a moment lies in it."""
        day = at.astimezone(UTC).date()
        return self.first <= day and (self.end is None or day < self.end)


class Fields:
    """One table of a file, of which each field is taken once, by its type; ``done`` refuses what nobody took."""

    def __init__(self, place: str, given: Any) -> None:
        if not isinstance(given, dict):
            raise BadTable(f"{place} is no table.")
        self.place, self._left = place, dict(given)

    def take(self, name: str, kind: type, default: Any = ...) -> Any:
        """Return a field; one without a default must be there. Raises BadTable."""
        if name not in self._left:
            if default is ...:
                raise BadTable(f"{self.place} has no {name}.")
            return default
        value = self._left.pop(name)
        # A boolean is an integer to Python, and a moment is a day.
        if type(value) is not kind:
            raise BadTable(f"{self.place}: {name} is no {kind.__name__}.")
        if value == "":
            raise BadTable(f"{self.place}: {name} is empty.")
        return value

    def span(self, within: Span | None = None) -> Span:
        """Return the days from ``effective_from`` to ``effective_before``; those of the whole unless a part says."""
        whole = within or Span(date.min)
        first = self.take("effective_from", date, ... if within is None else whole.first)
        end = self.take("effective_before", date, whole.end)
        if end is not None and end <= first:
            raise BadTable(f"{self.place} ends before it begins.")
        if first < whole.first or (whole.end is not None and (end is None or end > whole.end)):
            raise BadTable(f"{self.place} lies outside the days of its file.")
        return Span(first, end)

    def done(self) -> None:
        """Raise BadTable for a field that nobody took."""
        if self._left:
            raise BadTable(f"{self.place} has {', '.join(sorted(self._left))}, which means nothing there.")


def read(folder: Path) -> Iterator[tuple[str, Fields]]:
    """Yield each file of a folder by its name without the ending; raise BadTable for what is no TOML."""
    for path in sorted(folder.glob("*.toml")):
        try:
            yield path.stem, Fields(path.name, tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadTable(f"{path.name} is no TOML: {error}.") from error
