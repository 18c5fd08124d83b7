"""A form in which the journal is written, and what all forms share: amounts, times, pieces of text."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from govpay.errors import InvalidInput
from ledger.exports.source import Journal

CHUNK = 65_536
LINE_SEPARATORS = ("\u2028", "\u2029")


class UnknownForm(InvalidInput):
    """Nothing is exported in this form."""

    code = "unknown_form"


class Form(NamedTuple):
    """How a journal is written: ``write`` yields its text, a line or an entry at a time."""

    name: str
    suffix: str
    media_type: str
    write: Callable[[Journal], Iterator[str]]


def in_chunks(texts: Iterable[str]) -> Iterator[str]:
    """Yield the same text in pieces of some 64 KiB, because a network packet a line would be slow."""
    waiting: list[str] = []
    size = 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= CHUNK:
            yield "".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting)


def decimal(units: int, scale: int) -> str:
    """Write whole units of ``10 ** -scale`` as a decimal with exactly that many digits: 1 at scale 8 is 0.00000001."""
    whole, rest = divmod(abs(units), 10**scale)
    return ("-" if units < 0 else "") + str(whole) + (f".{rest:0{scale}d}" if scale else "")


def moment(at: datetime | None) -> str:
    """Write a time in UTC to the microsecond, as the sealed bytes do; nothing for none."""
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def one_line(text: str) -> str:
    """Return the text with a space for whatever a program could take for the end of a line, or not show at all."""
    return "".join(" " if _breaks(letter) else letter for letter in text)


def _breaks(letter: str) -> bool:
    return letter in LINE_SEPARATORS or unicodedata.category(letter) == "Cc"
