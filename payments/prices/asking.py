"""Asks sources what a bitcoin costs, all at once and each with a deadline; whatever goes wrong is an answer as well."""

import hashlib
import os
import re
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.conf import settings

from payments import outbound
from payments.models import PriceSource, SourceKind
from payments.prices import formats, reading

# Of one source, from the look-up to the last byte. The longest honest answer has a few hundred bytes.
TIMEOUT_S, MOST_BYTES = 5, 65_536
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Faults that leave what the source said before: it said nothing else.
SILENT = ("no_answer", "no_success")
HEADERS = {"Accept": "application/json", "User-Agent": "govpay"}


class Heard(NamedTuple):
    """What a source said: a value with its time where it tells one, and SHA-256 of the bytes; or the fault and why."""

    value: Decimal | None = None
    at: datetime | None = None
    sha256: bytes | None = None
    fault: str = ""
    message: str = ""


def ask_all(sources: Iterable[PriceSource]) -> dict[PriceSource, Heard]:
    """Ask every source that can be asked, side by side; return what each said. Nothing is raised for any of them."""
    asked = [source for source in sources if source.kind != SourceKind.MANUAL]
    if not asked:
        return {}
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        return dict(zip(asked, pool.map(ask, asked), strict=True))


def ask(source: PriceSource) -> Heard:
    """Return what a source says; the database is not touched."""
    try:
        body = _read_file(source.address) if source.kind == SourceKind.FILE else _get(source)
        said = formats.FORMATS[source.kind].read(reading.parse(body), source.currency)
    except reading.Unreadable as error:
        return Heard(fault=error.fault, message=error.message)
    return Heard(said.value, said.at, hashlib.sha256(body).digest())


def _get(source: PriceSource) -> bytes:
    url = source.address + formats.FORMATS[source.kind].path(source.currency)
    try:
        answer = outbound.get(
            url, HEADERS, rule=outbound.public(), timeout_s=TIMEOUT_S, most_bytes=MOST_BYTES
        )
    except outbound.TooLong as error:
        raise reading.Unreadable("too_long", str(error)) from error
    except outbound.Unanswered as error:
        raise reading.Unreadable("no_answer", str(error)) from error
    if answer.status != 200:
        why = outbound.why_not_taken(answer.status) or f"The receiver answered HTTP {answer.status}."
        raise reading.Unreadable("no_success", why)
    return answer.body


def _read_file(name: str) -> bytes:
    """Return a plain file of the folder that the operator named; no link, no pipe, nothing above it."""
    if not settings.GOVPAY_PRICE_FOLDER:
        raise reading.Unreadable("no_answer", "GOVPAY_PRICE_FOLDER names no folder.")
    if FILE_NAME.fullmatch(name) is None:
        raise reading.Unreadable("no_answer", "The name is not one of a file in the folder.")
    path = os.path.join(settings.GOVPAY_PRICE_FOLDER, name)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise reading.Unreadable("no_answer", "It is no plain file.")
            body = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise reading.Unreadable("no_answer", f"The file cannot be read: {error.strerror}.") from error
    if len(body) > MOST_BYTES:
        raise reading.Unreadable("too_long", f"The file is longer than {MOST_BYTES:,} bytes.")
    return body
