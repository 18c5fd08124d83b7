"""Writes CSV that spreadsheets read as text: a cell that begins like a formula gets an apostrophe in front."""

import csv
import io
import unicodedata
from collections.abc import Sequence

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
# Separators, controls and marks that are not seen, such as those that turn the direction of writing.
PASSED_OVER = ("Zs", "Zl", "Zp", "Cc", "Cf")


def line(cells: Sequence[str | int]) -> str:
    """Return one line of CSV with its CRLF (RFC 4180); numbers stay numbers, texts are made harmless."""
    buffer = io.StringIO()
    csv.writer(buffer).writerow([harmless(cell) if isinstance(cell, str) else cell for cell in cells])
    return buffer.getvalue()


def harmless(text: str) -> str:
    """Return the text with an apostrophe in front when a spreadsheet could take it for a formula.

    Some spreadsheets turn full-width and small forms into the plain ones, and pass over what is not seen, before they look
    for a formula.
    """
    return f"'{text}" if any(_starts_formula(letter) for letter in _first(text)) else text


def _first(text: str) -> str:
    """Return the first letter that is seen, with all that stands before it."""
    for index, letter in enumerate(text):
        if unicodedata.category(letter) not in PASSED_OVER:
            return text[: index + 1]
    return text


def _starts_formula(letter: str) -> bool:
    return unicodedata.normalize("NFKC", letter).startswith(FORMULA_STARTS)
