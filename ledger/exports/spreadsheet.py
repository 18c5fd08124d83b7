"""Writes CSV that spreadsheets read as text: a cell that begins like a formula gets an apostrophe in front."""

import csv
import unicodedata
from collections.abc import Sequence
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
# Separators, controls and marks that are not seen, such as those that turn the direction of writing.
PASSED_OVER = ("Zs", "Zl", "Zp", "Cc", "Cf")


class _Line:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


_WRITER: Any = csv.writer(_Line())


def line(cells: Sequence[str | int | None]) -> str:
    """Return one line of CSV with its CRLF (RFC 4180); numbers stay numbers, texts are made harmless, None is empty."""
    written: str = _WRITER.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in cells])
    return written


def harmless(text: str) -> str:
    """Return the text with an apostrophe in front when a spreadsheet could take it for a formula.

    Some spreadsheets turn full-width and small forms into the plain ones, and pass over what is not seen, before they look
    for a formula.
    """
    # Nearly all cells: nothing that is passed over, and no start of a formula, is a letter or digit of ASCII.
    first = text[:1]
    if not first or (first.isascii() and first.isalnum()):
        return text
    return f"'{text}" if any(_starts_formula(letter) for letter in _first(text)) else text


def _first(text: str) -> str:
    """Return the first letter that is seen, with all that stands before it."""
    for index, letter in enumerate(text):
        if unicodedata.category(letter) not in PASSED_OVER:
            return text[: index + 1]
    return text


def _starts_formula(letter: str) -> bool:
    return unicodedata.normalize("NFKC", letter).startswith(FORMULA_STARTS)
