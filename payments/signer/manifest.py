"""The manifest: the one text of a list, which officers agree to by its hash and approvers sign with their keys.

ASCII, each line ended by LF::

    govpay-manifest-1
    network|regtest
    program|PENSIONS
    disbursement|12
    period|2026-11
    purpose|pension
    currency|sat
    count|2
    total|110000
    fee ceiling|4000
    payment id|beneficiary id|script_pubkey in hex|amount|id of the payment that it reissues, or nothing

with a line for each payment, by ascending payment id. Amounts and total are whole minor units of the currency (ISO 4217),
or satoshis where that is ``sat``; the fee ceiling is in satoshis. It has one right form only, and is read and written line
by line, so that memory does not grow with the list.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from payments.signer.refusal import Unreadable

FORMAT = "govpay-manifest-1"
# Each signature says what it is for, so that none can be shown as one of another kind.
SIGNATURE_CONTEXT = b"govpay manifest signature 1\n"
POSSESSION_CONTEXT = b"govpay approver key 1\n"
# The neutral point and the number zero.
_EMPTY_SIGNATURE = b"\x01" + bytes(63)
MAX_LINE_BYTES = 200
MAX_LINES = 1_000_000
MAX_AMOUNT = 21_000_000 * 100_000_000
SAT = "sat"

_NUMBER = r"(0|[1-9][0-9]{0,18})"
_HEADER = (
    ("network", r"([a-z0-9]{1,10})"),
    ("program", r"([A-Z][A-Z0-9-]{1,19})"),
    ("disbursement", _NUMBER),
    ("period", r"([A-Za-z0-9-]{1,20})"),
    ("purpose", r"([a-z0-9-]{1,40})"),
    ("currency", r"(sat|[A-Z]{3})"),
    ("count", _NUMBER),
    ("total", _NUMBER),
    ("fee ceiling", _NUMBER),
)
_LINE = re.compile(rf"{_NUMBER}\|{_NUMBER}\|((?:[0-9a-f]{{2}}){{0,42}})\|{_NUMBER}\|((?:{_NUMBER})?)")


class Header(NamedTuple):
    """What a list says of itself; the total in minor units of the currency, or in satoshis where that is ``sat``."""

    network: str
    program: str
    disbursement_id: int
    period: str
    purpose: str
    payment_count: int
    total: int
    fee_ceiling_sat: int
    currency: str = SAT


class Line(NamedTuple):
    """A payment: who is paid, by which script, how much by the header's currency, and what voided payment it reissues."""

    payment_id: int
    beneficiary_id: int
    script_pubkey: bytes
    amount: int
    reissue_of: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that was read to its end: its header, the lines that were asked for, and the SHA-256 of the text."""

    header: Header
    lines: dict[int, Line]
    sha256: bytes


def header_text(header: Header) -> str:
    """Return the first lines."""
    values = (
        header.network,
        header.program,
        header.disbursement_id,
        header.period,
        header.purpose,
        header.currency,
        header.payment_count,
        header.total,
        header.fee_ceiling_sat,
    )
    facts = "".join(f"{name}|{value}\n" for (name, _), value in zip(_HEADER, values, strict=True))
    return f"{FORMAT}\n{facts}"


def line_text(line: Line) -> str:
    """Return the line of a payment."""
    reissued = "" if line.reissue_of is None else line.reissue_of
    script = line.script_pubkey.hex()
    return f"{line.payment_id}|{line.beneficiary_id}|{script}|{line.amount}|{reissued}\n"


def lines_of_file(file: BinaryIO) -> Iterator[bytes]:
    """Read line by line, none longer than a manifest's lines may be."""
    return iter(lambda: file.readline(MAX_LINE_BYTES + 1), b"")


def lines_of_text(text: str) -> Iterator[bytes]:
    """Return the lines of a text, each with its LF."""
    start = 0
    while start < len(text):
        end = text.find("\n", start, start + MAX_LINE_BYTES + 1) + 1 or min(
            start + MAX_LINE_BYTES + 1, len(text)
        )
        yield text[start:end].encode(errors="surrogatepass")
        start = end


def read(
    lines: Iterable[bytes],
    *,
    wanted: Collection[int] = frozenset(),
    visit: Callable[[Line], None] | None = None,
) -> Manifest:
    """Read a whole manifest and keep the wanted payments; ``visit`` sees every line.

    Raises Unreadable unless the text is in its one right form, with ascending payment ids, amounts of at least one,
    and the count and total that it announces.
    """
    digest = hashlib.sha256()
    numbered = enumerate(_hashed(lines, digest), start=1)
    header = _read_header(numbered)
    kept: dict[int, Line] = {}
    count = total = last_id = 0
    for number, text in numbered:
        line = _read_line(number, text)
        if line.payment_id <= last_id:
            _refuse(number, "does not have a higher payment id than the line before it")
        last_id, count, total = line.payment_id, count + 1, total + line.amount
        if count > MAX_LINES:
            _refuse(number, f"is more than the {MAX_LINES} that a list may have")
        if line.payment_id in wanted:
            kept[line.payment_id] = line
        if visit is not None:
            visit(line)
    if (count, total) != (header.payment_count, header.total):
        raise Unreadable(
            "manifest_totals",
            f"The manifest announces {header.payment_count} payments of {header.total} {header.currency}, and has "
            f"{count} of {total}.",
        )
    return Manifest(header, kept, digest.digest())


def signed_message(sha256: bytes) -> bytes:
    """Return what an approver's key signs for a manifest with this SHA-256."""
    return SIGNATURE_CONTEXT + sha256


def possession_message(username: str, public_key: bytes) -> bytes:
    """Return what a key signs to prove that this user has it."""
    return POSSESSION_CONTEXT + public_key + username.encode()


def sign(key: Ed25519PrivateKey, message: bytes) -> bytes:
    """Return the 64 bytes of an Ed25519 signature (RFC 8032)."""
    return key.sign(message)


def is_signed(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether the key (32 bytes) made the signature (64 bytes) over the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_weak(public_key: bytes) -> bool:
    """Tell whether anybody can sign for this key: one of the few points of small order, by accident or on purpose.

    Under such a key the empty signature is valid for one message in eight at least, and under a true key for none.
    """
    return any(is_signed(public_key, _EMPTY_SIGNATURE, bytes([number])) for number in range(256))


def _hashed(lines: Iterable[bytes], digest: "hashlib._Hash") -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE_BYTES or not line.endswith(b"\n") or not line.isascii():
            _refuse(number, f"is not ASCII of at most {MAX_LINE_BYTES} bytes that ends with LF")
        digest.update(line)
        yield line[:-1].decode("ascii")


def _read_header(numbered: Iterator[tuple[int, str]]) -> Header:
    if next(numbered, (0, ""))[1] != FORMAT:
        raise Unreadable("manifest_format", f"This is not a {FORMAT} text.")
    values: list[str] = []
    for name, pattern in _HEADER:
        number, text = next(numbered, (len(values) + 2, ""))
        match = re.fullmatch(rf"{name}\|{pattern}", text)
        if match is None:
            _refuse(number, f"does not say the {name}")
        values.append(match.group(1))
    network, program, disbursement_id, period, purpose, currency, count, total, fee_ceiling = values
    return Header(
        network,
        program,
        int(disbursement_id),
        period,
        purpose,
        int(count),
        int(total),
        int(fee_ceiling),
        currency,
    )


def _read_line(number: int, text: str) -> Line:
    match = _LINE.fullmatch(text)
    if match is None:
        _refuse(number, "is not a payment")
    payment_id, beneficiary_id, script, amount, reissued = match.group(1, 2, 3, 4, 5)
    if not 0 < int(amount) <= MAX_AMOUNT:
        _refuse(number, "has an amount that does not exist")
    return Line(
        int(payment_id),
        int(beneficiary_id),
        bytes.fromhex(script),
        int(amount),
        int(reissued) if reissued else None,
    )


def _refuse(number: int, fact: str) -> NoReturn:
    raise Unreadable("manifest_line", f"Line {number} of the manifest {fact}.", line=number)
