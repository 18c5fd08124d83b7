"""A report as PDF/A-2b: of the same table the same bytes on any machine; a letter without a sign is spelled out.

What it says of itself: what was asked, as known when, and the checkpoint of the books that stood then. Its fonts are typst's
own and Noto Naskh Arabic, which has the letters of Urdu; fonts of the machine are not looked at.
"""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings

from govpay.errors import InvalidInput
from ledger.exports.form import one_line
from ledger.reports import words
from ledger.reports.report import Report, Unit
from ledger.reports.table import Table

MOST_ROWS = 5_000
FONTS = Path(__file__).with_name("fonts")
TEMPLATE = Path(__file__).with_name("report.typ")
NO_LETTER = re.compile(r"the text `\"(.*)\"` could not be displayed", re.DOTALL)
# Marks that turn the direction of writing could make a signed name read as another one.
TURNING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}


class TooLong(InvalidInput):
    """The report has more rows than anybody signs; it can be had as CSV or JSON lines."""

    code = "too_long"


def write(table: Table) -> bytes:
    """Return the PDF; raise TooLong."""
    rows = list(islice(table.rows, MOST_ROWS + 1))
    if len(rows) > MOST_ROWS:
        raise TooLong(
            f"{table.report.title} has more than {MOST_ROWS:,} rows: ask for CSV or JSON lines.",
            most=MOST_ROWS,
        )
    content = _content(table, rows)
    exotic = {letter for text in _texts(content) for letter in text if ord(letter) > 0x7E}
    missing = _without_letters("".join(sorted(exotic)))
    at = table.asked.known_at
    time = {name: getattr(at, name) for name in ("year", "month", "day", "hour", "minute", "second")}
    return _compile(_spelled(content, missing) | {"made": time})


def _content(table: Table, rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    report, basis = table.report, table.basis
    shown = [place for place in range(len(report.columns)) if _is_shown(report, rows, place)]
    return {
        "title": report.title,
        "meaning": report.meaning,
        "origin": settings.GOVPAY_SEAL_ORIGIN,
        "scope": table.asked.scope or "all scopes",
        "time": words.time_of(table.asked),
        "checkpoint": "No checkpoint of the books was signed by then."
        if basis is None
        else f"Checkpoint over {basis.size:,} leaves, head {basis.head.hex()}, note SHA-256 {basis.note_digest.hex()}.",
        "headings": [report.columns[index].heading for index in shown],
        "right": [report.columns[index].unit in words.RIGHT for index in shown],
        "rows": [[words.cell(report, row, index) for index in shown] for row in rows],
    }


def _is_shown(report: Report, rows: list[tuple[Any, ...]], place: int) -> bool:
    """Leave out the scale, which amounts show, and texts that no row has."""
    column = report.columns[place]
    return column.name != "scale" and (
        column.unit != Unit.TEXT or any(row[place] for row in rows) or not rows
    )


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _spelled(value: Any, missing: frozenset[str]) -> Any:
    """Return the same with every letter that cannot be shown written as its number."""
    if isinstance(value, str):
        return "".join(
            f"<U+{ord(letter):04X}>" if letter in missing else letter for letter in one_line(value)
        )
    if isinstance(value, list):
        return [_spelled(part, missing) for part in value]
    if isinstance(value, dict):
        return {name: _spelled(part, missing) for name, part in value.items()}
    return value


@lru_cache(maxsize=64)
def _without_letters(letters: str) -> frozenset[str]:
    """Return those of the letters that the fonts do not have, and the marks that turn the direction of writing."""
    import typst

    missing = {letter for letter in letters if ord(letter) in TURNING}
    made = {"year": 2000, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}
    empty = dict.fromkeys(("meaning", "origin", "scope", "time", "checkpoint"), "")
    probe: dict[str, Any] = {"headings": [], "right": [], "rows": [], "made": made} | empty
    while True:
        left = [letter for letter in letters if letter not in missing]
        try:
            # Apart, so that no letter is joined with its neighbor into something that has no sign of its own.
            _compile(probe | {"title": " ".join(left)})
        except typst.TypstError as error:
            found = NO_LETTER.search(str(error))
            more = set(found[1] if found else "") & set(left)
            if not more:
                raise
            missing |= more
        else:
            return frozenset(missing)


def _compile(content: dict[str, Any]) -> bytes:
    import typst

    document: bytes = typst.compile(
        str(TEMPLATE),
        root=str(TEMPLATE.parent),
        font_paths=[str(FONTS)],
        ignore_system_fonts=True,
        format="pdf",
        pdf_standards=["a-2b"],
        sys_inputs={"report": json.dumps(content)},
    )
    return document
