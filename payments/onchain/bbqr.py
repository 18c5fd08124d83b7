"""Splits a file into texts for a numbered series of QR codes, and puts it together again (BBQr).

Each text begins with ``B$``, how it is encoded, what it is, and of how many it is which, in two digits of base 36 each.
"""

import base64
import binascii
import re
import zlib
from typing import Literal

from govpay.errors import GovPayError

Kind = Literal["P", "T"]  # A PSBT, or a tx.
# With its header it fills a code of version 18 at the lowest level of correction, which telephones read from a screen.
PART_CHARS = 1_032
CODE_VERSION = 18
MOST_PARTS = 36 * 36 - 1
# The least that base32 and whole bytes go into together.
_UNIT = 8
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PART = re.compile(r"B\$([H2Z])([PT])([0-9A-Z]{2})([0-9A-Z]{2})([0-9A-Z]+)", re.ASCII)
# Any window is read; what is written keeps to the one that small devices have room for.
_WINDOW_READ, _WINDOW_WRITTEN = -zlib.MAX_WBITS, -10


class SeriesBroken(GovPayError):
    """The texts are not one whole series, or more than may be read."""

    code = "series_broken"
    http_status = 422


def split(data: bytes, kind: Kind) -> list[str]:
    """Return the texts of a series, of equal length but for the last; raise SeriesBroken for more than MOST_PARTS."""
    packer = zlib.compressobj(level=9, wbits=_WINDOW_WRITTEN)
    packed = packer.compress(data) + packer.flush()
    encoding, body = ("Z", packed) if len(packed) < len(data) else ("2", data)
    text = base64.b32encode(body).decode().rstrip("=")
    count = -(-len(text) // PART_CHARS)
    if count > MOST_PARTS:
        raise SeriesBroken(f"It would be {count:,} codes, and a series has at most {MOST_PARTS:,}.")
    # Equal parts are all as easy to read.
    size = -(-len(text) // (count * _UNIT)) * _UNIT
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    return [f"B${encoding}{kind}{_two(len(parts))}{_two(number)}{part}" for number, part in enumerate(parts)]


def join(text: str, *, most_bytes: int) -> bytes:
    """Return the file of a series: its texts in any order, each as often as it was read, with white space between.

    Raises SeriesBroken for a text that is none, for texts of several series, for missing ones (which it names), and for a
    file of more than ``most_bytes``.
    """
    found: dict[int, str] = {}
    heads = set()
    for word in text.split():
        match = _PART.fullmatch(word)
        if match is None:
            raise SeriesBroken(f"{word[:12]!r} does not begin a QR code of a series (BBQr).")
        encoding, kind, total, number, body = match.groups()
        heads.add((encoding, kind, total))
        if found.setdefault(int(number, 36), body) != body:
            raise SeriesBroken(f"Code {int(number, 36) + 1} was read twice, and differs.")
    if len(heads) != 1:
        raise SeriesBroken("These codes are not of one series.")
    ((encoding, _, total),) = heads
    count = int(total, 36)
    missing = [number for number in range(count) if number not in found]
    if missing or len(found) != count or not count:
        names = ", ".join(str(number + 1) for number in missing[:20]) or "one that there is not"
        raise SeriesBroken(f"Of {count} codes these are missing or wrong: {names}.", missing=len(missing))
    decoded = b"".join(_decode(found[number], encoding) for number in range(count))
    return _unpacked(decoded, most_bytes) if encoding == "Z" else _bounded(decoded, most_bytes)


def _two(number: int) -> str:
    return _DIGITS[number // 36] + _DIGITS[number % 36]


def _decode(body: str, encoding: str) -> bytes:
    try:
        if encoding == "H":
            return bytes.fromhex(body)
        return base64.b32decode(body + "=" * (-len(body) % _UNIT))
    except (binascii.Error, ValueError) as error:
        raise SeriesBroken("A code holds signs that its encoding does not have.") from error


def _unpacked(packed: bytes, most_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=_WINDOW_READ)
    try:
        data = unpacker.decompress(packed, most_bytes + 1)
    except zlib.error as error:
        raise SeriesBroken("What the codes hold cannot be unpacked.") from error
    if not unpacker.eof and len(data) <= most_bytes:
        raise SeriesBroken("What the codes hold ends too early.")
    return _bounded(data, most_bytes)


def _bounded(data: bytes, most_bytes: int) -> bytes:
    if len(data) > most_bytes:
        raise SeriesBroken(f"It has more than {most_bytes:,} bytes.")
    return data
