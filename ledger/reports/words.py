"""Writes the cells of a report the way accountants read them: grouped amounts, shares in percent, times in UTC."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ledger.exports.form import decimal
from ledger.reports.asked import Asked
from ledger.reports.report import Report, Unit

RIGHT = (Unit.NUMBER, Unit.UNITS, Unit.SHARE)


def cell(report: Report, row: Sequence[Any], place: int) -> str:
    """Return one cell: amounts in satoshis are grouped as they are, with sat for the currency, others have their point."""
    value, unit = row[place], report.columns[place].unit
    if value is None:
        return ""
    if report.columns[place].name == "currency":
        return unit_of(*_currency(report, row))
    if unit == Unit.UNITS:
        return amount(value, *_currency(report, row))
    if unit == Unit.SHARE:
        return f"{value / 100:,.2f} %"
    if unit == Unit.MOMENT:
        return when(value)
    return str(value)


def amount(units: int, currency: str, scale: int) -> str:
    """Group an amount by thousands: satoshis as such, others with their point."""
    if (currency, scale) == ("BTC", 8):
        return f"{units:,}"
    whole, point, rest = decimal(units, scale).partition(".")
    # The sign of -0.07 is not in its whole part.
    return ("-" if whole.startswith("-") else "") + f"{abs(int(whole)):,}{point}{rest}"


def unit_of(currency: str, scale: int) -> str:
    """Name the unit in which `amount` writes."""
    return "sat" if (currency, scale) == ("BTC", 8) else currency


def when(at: datetime) -> str:
    """Write a time to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def time_of(asked: Asked) -> str:
    """Say which time was asked for, as known when, and for whom alone."""
    begin = "" if asked.since is None else f"from {when(asked.since)} "
    layer = "" if asked.layer == "settled" else f", {asked.layer}"
    person = "" if asked.person is None else f", for {asked.person} alone"
    return f"{begin}before {when(asked.before)}, as known at {when(asked.known_at)}{layer}{person}"


def _currency(report: Report, row: Sequence[Any]) -> tuple[str, int]:
    names = [column.name for column in report.columns]
    return row[names.index("currency")], row[names.index("scale")]
