"""Writes credit transfers as banks read them: ISO 20022 pain.001.001.09, streamed, one transfer after the other.

One group, one payment information block: one debtor account, one day, one currency. Amounts have no more decimals than
the currency has minor units. The bytes follow from what is given, so that a file can be written again and compared.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import BinaryIO, NamedTuple

from lxml import etree

from ledger.exports import form
from payments.prices import currency

KIND = "pain.001"
NAME = "pain.001.001.09"
NAMESPACE = f"urn:iso:std:iso:20022:tech:xsd:{NAME}"
# A name that a bank may be given (Max140Text).
MAX_NAME = 140


class Party(NamedTuple):
    """Who pays or is paid: the account's title, its IBAN, and the BIC of its bank where it is known."""

    title: str
    iban: str
    bic: str = ""


class Head(NamedTuple):
    """What a file says once. ``message_id`` and ``currency`` are ASCII; the total is in minor units."""

    message_id: str
    made_at: datetime
    currency: str
    line_count: int
    total_minor: int
    debtor: Party
    execution_date: date


class Transfer(NamedTuple):
    """One credit transfer: by which id it is answered, how many minor units, to whom, and what the person reads."""

    end_to_end_id: str
    amount_minor: int
    creditor: Party
    words: str = ""


def write(head: Head, transfers: Iterable[Transfer], out: BinaryIO) -> None:
    """Write the file; raise UnknownCurrency. Memory holds one transfer, however many there are.

    Source: ISO 20022, CustomerCreditTransferInitiationV09.
    """
    digits = currency.scale(head.currency)
    with etree.xmlfile(out, encoding="UTF-8") as xml:
        xml.write_declaration()
        with (
            xml.element("Document", nsmap={None: NAMESPACE}),
            xml.element("CstmrCdtTrfInitn"),
        ):
            xml.write(_group(head, digits))
            with xml.element("PmtInf"):
                for part in _payment_information(head, digits):
                    xml.write(part)
                for transfer in transfers:
                    xml.write(_transfer(transfer, head.currency, digits))


def _group(head: Head, digits: int) -> etree._Element:
    group = etree.Element("GrpHdr")
    _add(group, "MsgId", head.message_id)
    _add(group, "CreDtTm", f"{head.made_at:%Y-%m-%dT%H:%M:%SZ}")
    _totals(group, head, digits)
    _add(_add(group, "InitgPty"), "Nm", head.debtor.title)
    return group


def _payment_information(head: Head, digits: int) -> Iterable[etree._Element]:
    """Yield what stands in the block before its transfers, in the schema's order."""
    block = etree.Element("PmtInf")
    _add(block, "PmtInfId", head.message_id)
    _add(block, "PmtMtd", "TRF")
    # Each transfer is seen on the account's statement by itself, so that one that comes back is found there.
    _add(block, "BtchBookg", "false")
    _totals(block, head, digits)
    _add(_add(block, "ReqdExctnDt"), "Dt", head.execution_date.isoformat())
    _add(_add(block, "Dbtr"), "Nm", head.debtor.title)
    account = _add(block, "DbtrAcct")
    _add(_add(account, "Id"), "IBAN", head.debtor.iban)
    _add(account, "Ccy", head.currency)
    _agent(block, "DbtrAgt", head.debtor.bic)
    # The state pays for its own transfers: people get what their list says.
    _add(block, "ChrgBr", "DEBT")
    return list(block)


def _transfer(transfer: Transfer, code: str, digits: int) -> etree._Element:
    found = etree.Element("CdtTrfTxInf")
    ids = _add(found, "PmtId")
    _add(ids, "InstrId", transfer.end_to_end_id)
    _add(ids, "EndToEndId", transfer.end_to_end_id)
    amount = _add(_add(found, "Amt"), "InstdAmt", form.decimal(transfer.amount_minor, digits))
    amount.set("Ccy", code)
    if transfer.creditor.bic:
        _agent(found, "CdtrAgt", transfer.creditor.bic)
    _add(_add(found, "Cdtr"), "Nm", transfer.creditor.title)
    _add(_add(_add(found, "CdtrAcct"), "Id"), "IBAN", transfer.creditor.iban)
    if transfer.words:
        _add(_add(found, "RmtInf"), "Ustrd", transfer.words)
    return found


def _totals(parent: etree._Element, head: Head, digits: int) -> None:
    _add(parent, "NbOfTxs", str(head.line_count))
    _add(parent, "CtrlSum", form.decimal(head.total_minor, digits))


def _agent(parent: etree._Element, name: str, bic: str) -> None:
    institution = _add(_add(parent, name), "FinInstnId")
    if bic:
        _add(institution, "BICFI", bic)
    else:
        # The schema wants an agent; a bank that knows it by the account says so (EPC guidelines).
        _add(_add(institution, "Othr"), "Id", "NOTPROVIDED")


def _add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    child = etree.SubElement(parent, name)
    child.text = text
    return child
