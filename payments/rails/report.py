"""Reads what a bank says of a file: ISO 20022 pain.002, streamed, held to ISO's schema, status by status.

Which codes are final follows ISO's external code sets for the status of a payment group and of a payment transaction: money
that arrived or a rejection ends a transfer, and everything else lets it wait.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from lxml import etree

from payments.prices import currency
from payments.rails import schema

KIND = "pain.002"
MOST_BYTES = 512 * 1024 * 1024
SETTLED = frozenset({"ACSC", "ACCC"})
REJECTED = frozenset({"RJCT", "CANC"})
WAITING = frozenset(
    {"ACCP", "ACFC", "ACSP", "ACTC", "ACWC", "ACWP", "ACPD", "PATC", "PDNG", "RCVD", "PRES", "PART"}
)
# What stands where the schema wants an id and the bank has none.
UNSAID = "NOTPROVIDED"
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,17})?")


class Head(NamedTuple):
    """What a report says once: its own id, the file that it is about and of what kind that is, and figures if it has any.

    ``reason`` is why ``status`` is what it is.
    """

    message_id: str
    original_message_id: str
    original_name: str
    status: str
    line_count: str
    total: str
    reason: str


class Status(NamedTuple):
    """What it says of one transfer: the row counts these from 1; amount and currency are empty where it has none."""

    row: int
    end_to_end_id: str
    code: str
    reason: str
    amount: str
    currency: str


class Report:
    """A report that is being read: ``begin`` returns its head, then iterating yields what it says of transfers."""

    def __init__(self, file: BinaryIO, *, most_bytes: int = MOST_BYTES) -> None:
        tags = ("GrpHdr", "OrgnlGrpInfAndSts", "OrgnlPmtInfId", "PmtInfSts", "TxInfAndSts")
        self._elements = schema.elements(file, KIND, tags, most_bytes=most_bytes)
        self._original_id = ""
        # What the bank says of the block of transfers in which all of a file are, and what else it says of it.
        self.block_status = self.other_status = ""
        # A block of which the file has none, if the bank names one: that of a file has the file's own id.
        self.other_block = ""

    def begin(self) -> Head:
        """Read as far as the report says what it is about; raise BadMessage."""
        own = next(self._elements)
        message_id = schema.text(own, "MsgId")
        about = next(self._elements)
        self._original_id = schema.text(about, "OrgnlMsgId")
        return Head(
            message_id,
            self._original_id,
            schema.text(about, "OrgnlMsgNmId"),
            schema.text(about, "GrpSts"),
            schema.text(about, "OrgnlNbOfTxs"),
            schema.text(about, "OrgnlCtrlSum"),
            _reason(about),
        )

    def __iter__(self) -> Iterator[Status]:
        row = 0
        for element in self._elements:
            name, said = schema.local(element), (element.text or "").strip()
            if name == "PmtInfSts":
                self.other_status = self.other_status or (said if self.block_status not in ("", said) else "")
                self.block_status = self.block_status or said
                continue
            if name == "OrgnlPmtInfId":
                is_own = said in (self._original_id, UNSAID)
                self.other_block = self.other_block or ("" if is_own else said)
                continue
            row += 1
            amount = element.find("{*}OrgnlTxRef/{*}Amt/{*}InstdAmt")
            yield Status(
                row,
                schema.text(element, "OrgnlEndToEndId") or schema.text(element, "OrgnlInstrId"),
                schema.text(element, "TxSts"),
                _reason(element),
                (amount.text or "").strip() if amount is not None else "",
                amount.get("Ccy", "") if amount is not None else "",
            )


def _reason(element: etree._Element) -> str:
    """Return the first reason that stands in an element, by its code or in the bank's own words."""
    return schema.text(element, "StsRsnInf/Rsn/Cd") or schema.text(element, "StsRsnInf/Rsn/Prtry")


def is_known(code: str) -> bool:
    """Say whether the code is one of those whose meaning is known here."""
    return code in SETTLED or code in REJECTED or code in WAITING


def minor_of(text: str, code: str) -> int | None:
    """Return a decimal of major units in minor ones, or None where it is none, or finer than these."""
    if _DECIMAL.fullmatch(text) is None or code not in currency.SCALES:
        return None
    digits = currency.SCALES[code]
    whole, _, part = text.partition(".")
    part = part.rstrip("0")
    return int(whole) * 10**digits + int(part.ljust(digits, "0") or "0") if len(part) <= digits else None
