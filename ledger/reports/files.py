"""Reports as files: CSV that no spreadsheet runs, and JSON lines, as long as they are.

Amounts are whole units of ``10 ** -scale`` of the currency in the same row, in JSON as decimal text, because many readers of
JSON would round what passes 2**53.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from ledger.exports import spreadsheet
from ledger.exports.form import moment
from ledger.reports.report import Column, Unit
from ledger.reports.table import Table


def write_csv(table: Table) -> Iterator[str]:
    """Yield the names of the columns, and a line a row."""
    columns = table.report.columns
    yield spreadsheet.line([column.name for column in columns])
    written = [place for place, column in enumerate(columns) if column.unit in (Unit.MOMENT, Unit.NUMBER)]
    for row in table.rows:
        cells = list(row)
        for place in written:
            cells[place] = _cell(cells[place])
        yield spreadsheet.line(cells)


def write_jsonl(table: Table) -> Iterator[str]:
    """Yield a line that says what this is, an object a row, and a line with their number: without it, it is cut off."""
    columns = table.report.columns
    yield _json(describe(table) | {"columns": [column.name for column in columns]})
    count = 0
    for row in table.rows:
        count += 1
        yield _json({column.name: _value(column, value) for column, value in zip(columns, row, strict=True)})
    yield _json({"rows": count})


def describe(table: Table) -> dict[str, Any]:
    """Return what was asked, and the checkpoint that stood then."""
    asked, basis = table.asked, table.basis
    # What nobody asks for changes no bytes of what was signed before it could be asked.
    person = {} if asked.person is None else {"person": asked.person}
    return person | {
        "report": table.report.name,
        "scope": asked.scope,
        "account": asked.account,
        "layer": asked.layer,
        "since": moment(asked.since) or None,
        "before": moment(asked.before),
        "known_at": moment(asked.known_at),
        "checkpoint": None
        if basis is None
        else {"size": basis.size, "head": basis.head.hex(), "note_sha256": basis.note_digest.hex()},
    }


def _cell(value: Decimal | datetime | int | None) -> str | int | None:
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else f"{value}"
    return moment(value) if isinstance(value, datetime) else value


def _value(column: Column, value: Any) -> Any:
    if value is None or column.unit == Unit.TEXT:
        return value
    if column.unit == Unit.MOMENT:
        return moment(value)
    return str(value) if column.unit == Unit.UNITS or isinstance(value, Decimal) else value


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")) + "\n"
