"""A bank on paper: it reads a pain.001 and answers with a pain.002, and knows no more of govpay than the two standards."""

import hashlib
import io
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from lxml import etree

from payments.models import BankAccount, BankFile, Beneficiary, Disbursement, PayingAccount, Program, Voucher
from payments.rails import transfer
from payments.services import bank_accounts, bank_files
from tests import factories

NS12 = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.12"
NS03 = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.03"
OWN = "PK36SCBL0000001123456702"


def iban(number: int, country: str = "PK", bank: str = "SCBL") -> str:
    """An account number of a country with right check digits (ISO 13616, MOD 97-10)."""
    rest = f"{bank}{number:016}"
    value = int("".join(str(int(c, 36)) for c in f"{rest}{country}00"))
    return f"{country}{98 - value % 97:02}{rest}"


def make_paying_account(program: Program, currency: str = "PKR") -> PayingAccount:
    """From where a program pays, as two administrators set it."""
    return PayingAccount.objects.create(
        scope=program.scope,
        title="Pension Fund",
        iban=OWN,
        bic="SCBLPKKX",
        currency=currency,
        proposal=factories._proposed("paying_account", program, {"scope": program.scope}),
    )


def make_paying_account_of(scope: str, currency: str = "PKR") -> PayingAccount:
    """From where an institution pays, as two administrators set it."""
    return PayingAccount.objects.create(
        scope=scope,
        title="Convertibility trust",
        iban=OWN,
        bic="",
        currency=currency,
        proposal=factories._proposed("paying_account", None, {"scope": scope}),
    )


def make_account(
    person: Beneficiary, by: User, *, number: int | None = None, title_match: str = "", **columns: Any
) -> BankAccount:
    """A person's first account."""
    account = {"title": "Ana", "iban": iban(person.pk if number is None else number), "bic": ""}
    return BankAccount.objects.create(
        beneficiary=person,
        account=account,
        iban_hash=bank_accounts.hash_of(account["iban"]),
        created_by=by,
        title_match=title_match,
        **columns,
    )


def make_file(program: Program, fetched_by: User) -> BankFile:
    """A file of one transfer that somebody took to the bank, as if a list had made it."""
    now = timezone.now()
    made = BankFile.objects.create(
        origin="list",
        origin_id=program.pk,
        scope=program.scope,
        program=program,
        message_id=f"GP{program.code}",
        currency="PKR",
        debtor={"title": "Pension Fund", "iban": OWN, "bic": ""},
        execution_date=now.date(),
        line_count=1,
        total_minor=1_450_000,
        made_at=now,
    )
    made.lines.create(
        number=1,
        end_to_end_id=f"GP{program.code}-1",
        settles="trial",
        settles_id=program.pk,
        amount_minor=1_450_000,
        account={"title": "Ana", "iban": iban(1), "bic": ""},
    )
    out = io.BytesIO()
    transfer.write(bank_files.head(made), bank_files.transfers(made), out)
    BankFile.objects.filter(pk=made.pk).update(
        status="fetched",
        sha256=hashlib.sha256(out.getvalue()).digest(),
        size_bytes=len(out.getvalue()),
        written_at=now,
        fetched_by=fetched_by,
        fetched_at=now,
    )
    return BankFile.objects.get(pk=made.pk)


def make_voucher(program: Program, disbursement: Disbursement) -> Voucher:
    """A voucher of a list, as if that were paid by voucher: what the database refuses, for pages that only show it."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE payments_voucher DISABLE TRIGGER voucher_stays")
        made = Voucher.objects.create(
            program=program,
            payment=disbursement.payments.order_by("line")[0],
            amount_minor=1_450_000,
            currency="PKR",
            made_at=now,
            expires_at=now + timedelta(days=90),
        )
        cursor.execute("ALTER TABLE payments_voucher ENABLE ALWAYS TRIGGER voucher_stays")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    return made


def read(data: bytes) -> dict[str, Any]:
    """What a bank reads in a pain.001: its id, figures, and of each transfer the id, amount, currency, name and account."""
    root = etree.fromstring(data)

    def text(node: Any, path: str) -> str:
        return str(node.findtext("/".join(f"{{*}}{step}" for step in path.split("/"))))

    return {
        "id": text(root, "CstmrCdtTrfInitn/GrpHdr/MsgId"),
        "count": text(root, "CstmrCdtTrfInitn/GrpHdr/NbOfTxs"),
        "sum": text(root, "CstmrCdtTrfInitn/GrpHdr/CtrlSum"),
        "debtor": text(root, "CstmrCdtTrfInitn/PmtInf/DbtrAcct/Id/IBAN"),
        "transfers": [
            {
                "id": text(node, "PmtId/EndToEndId"),
                "amount": text(node, "Amt/InstdAmt"),
                "currency": node.find("{*}Amt/{*}InstdAmt").get("Ccy"),
                "name": text(node, "Cdtr/Nm"),
                "iban": text(node, "CdtrAcct/Id/IBAN"),
            }
            for node in root.iter("{*}CdtTrfTxInf")
        ],
    }


def answer(
    data: bytes,
    said: Mapping[str, tuple[str, str]] | None = None,
    *,
    group: str = "PART",
    namespace: str = NS12,
    **changes: str,
) -> io.BytesIO:
    """What the bank says: of transfers by id a code and a reason, of the group ``group``; ``changes`` spoil the rest.

    ``block`` is the id of the block that has them, ``block_status`` what is said of that, ``again`` what a second time;
    ``reason`` is that of the group.
    """
    file = read(data)
    facts = {
        "own": uuid4().hex[:20],
        "id": file["id"],
        "name": "pain.001.001.09",
        "count": file["count"],
        "sum": file["sum"],
    } | changes
    by_id = {each["id"]: each for each in file["transfers"]}
    rows = []
    for key, (code, reason) in (said or {}).items():
        known = by_id.get(key, file["transfers"][0])
        amount, currency = changes.get("amount", known["amount"]), changes.get("currency", known["currency"])
        rows.append(
            f"<TxInfAndSts><OrgnlEndToEndId>{key}</OrgnlEndToEndId><TxSts>{code}</TxSts>{_why(reason)}<OrgnlTxRef><Amt>"
            f'<InstdAmt Ccy="{currency}">{amount}</InstdAmt></Amt></OrgnlTxRef></TxInfAndSts>'
        )
    blocks = ""
    for name in ("block_status", "again"):
        status = f"<PmtInfSts>{changes[name]}</PmtInfSts>" if name in changes else ""
        if inner := status + ("".join(rows) if name == "block_status" else ""):
            block = f"<OrgnlPmtInfId>{changes.get('block', file['id'])}</OrgnlPmtInfId>{inner}"
            blocks += f"<OrgnlPmtInfAndSts>{block}</OrgnlPmtInfAndSts>"
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><Document xmlns="{namespace}"><CstmrPmtStsRpt><GrpHdr>'
        f"<MsgId>{facts['own']}</MsgId><CreDtTm>2026-11-30T10:00:00</CreDtTm></GrpHdr><OrgnlGrpInfAndSts>"
        f"<OrgnlMsgId>{facts['id']}</OrgnlMsgId><OrgnlMsgNmId>{facts['name']}</OrgnlMsgNmId>"
        f"<OrgnlNbOfTxs>{facts['count']}</OrgnlNbOfTxs><OrgnlCtrlSum>{facts['sum']}</OrgnlCtrlSum>"
        f"<GrpSts>{group}</GrpSts>{_why(changes.get('reason', ''))}</OrgnlGrpInfAndSts>{blocks}</CstmrPmtStsRpt></Document>"
    )
    return io.BytesIO(text.encode())


def _why(reason: str) -> str:
    return f"<StsRsnInf><Rsn><Cd>{reason}</Cd></Rsn></StsRsnInf>" if reason else ""
