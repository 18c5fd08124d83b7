"""Writes CSV that spreadsheets read as text: a cell that begins like a formula gets an apostrophe in front."""

import csv
import io
from collections.abc import Sequence

# The full-width forms are turned into the plain ones by some spreadsheets before they look for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def line(cells: Sequence[str | int]) -> str:
    """Return one line of CSV with its CRLF (RFC 4180); numbers stay numbers, texts are made harmless."""
    buffer = io.StringIO()
    csv.writer(buffer).writerow([harmless(cell) if isinstance(cell, str) else cell for cell in cells])
    return buffer.getvalue()


def harmless(text: str) -> str:
    """Return the text with an apostrophe in front when a spreadsheet could take it for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text
