"""Asks for reports the way doors do, and returns rows by name."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from ledger import reports

# What was posted a moment ago is known; the tests' entries take effect at times of their own.
SOON = timedelta(hours=1)


def rows(report_name: str, **given: Any) -> list[dict[str, Any]]:
    """Return the rows of a report, each by its columns' names."""
    report = reports.get_report(report_name)
    names = [column.name for column in report.columns]
    with reports.tabulate(report, reports.ask(report, now=timezone.now() + SOON, **given)) as table:
        return [dict(zip(names, row, strict=True)) for row in table.rows]


def columns(report_name: str, *names: str, **given: Any) -> list[tuple[Any, ...]]:
    """Return the named columns of the rows."""
    return [tuple(row[name] for name in names) for row in rows(report_name, **given)]
