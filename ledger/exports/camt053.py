"""A statement of an account as banks give it: ISO 20022 camt.053.001.08, one entry a line of the books.

Its amounts have five digits behind the point at most, so that bitcoin is given in whole satoshis, under XTS: the code that
ISO 4217 keeps for tests, which no program takes for money (ADR 26). Other currencies have their own code and point. What
increases the account is CRDT, as on a statement that a bank gives its customer.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from django.utils import timezone

from govpay.errors import InvalidInput, NotFound
from ledger.exports.form import Form, decimal, one_line
from ledger.exports.source import Journal, Total
from ledger.models import Account, AccountKind, Layer
from ledger.seals.canonical import SealedEntry, SealedLine

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
SATOSHI = "XTS"
MEANING = (
    "XTS is the code that ISO 4217 reserves for tests. Here it counts whole satoshis of a Bitcoin test network, which"
    " have no value: 100000000 of them are one test bitcoin."
)
ISSUER = "govpay"
# Of texts in the standard: Max35Text, Max70Text, Max140Text, Max500Text.
ID, NAME, REMITTANCE, INFORMATION = 35, 70, 140, 500


class NoStatement(InvalidInput):
    """A statement is of one asset account whose currency the standard can write."""

    code = "no_statement"


def require(code: str | None) -> Account:
    """Return the account of which a statement is asked; raise NoStatement, and NotFound where there is none."""
    if code is None:
        raise NoStatement("A statement is of one account: name it.", parameter="account")
    account = Account.objects.filter(code=code).first()
    if account is None:
        raise NotFound(f"There is no account {code}.", account=code)
    if account.kind != AccountKind.ASSET:
        raise NoStatement(f"{code} is no asset: only what is held has a statement.", account=code)
    if account.scale > 5 and not _is_satoshis(account.currency):
        raise NoStatement(
            f"{account.currency} has {account.scale} digits behind the point; the standard has five.",
            account=code,
        )
    return account


def write(journal: Journal) -> Iterator[str]:
    """Yield the statement; raise as `require` does."""
    account = require(journal.selection.account)
    settled = [total for total in journal.totals if (total.id, total.layer) == (account.pk, Layer.SETTLED)]
    total = settled[0] if settled else _nothing(account)
    made_at = journal.selection.known_at or timezone.now()
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{NAMESPACE}">\n<BkToCstmrStmt>\n'
    yield f"<GrpHdr><MsgId>{_message_id(total, journal)}</MsgId><CreDtTm>{_time(made_at)}</CreDtTm></GrpHdr>\n<Stmt>\n"
    yield "".join(_heading(total, journal, made_at))
    for entry in journal.entries:
        for place, line in enumerate(entry.lines):
            if (line.account, line.layer) == (total.code, Layer.SETTLED):
                yield _entry(entry, place, line)
    if _is_satoshis(total.currency):
        yield f"<AddtlStmtInf>{MEANING}</AddtlStmtInf>\n"
    yield "</Stmt>\n</BkToCstmrStmt>\n</Document>\n"


def _nothing(account: Account) -> Total:
    head = (
        account.pk,
        account.code,
        account.name,
        account.scope,
        account.kind,
        account.currency,
        account.scale,
    )
    return Total(*head, account.elements, Layer.SETTLED, *[0] * 6)


def _heading(total: Total, journal: Journal, made_at: datetime) -> Iterator[str]:
    selection = journal.selection
    currency = SATOSHI if _is_satoshis(total.currency) else total.currency
    starts_at = selection.effective_from or datetime(1970, 1, 1, tzinfo=UTC)
    ends_at = selection.effective_before or made_at
    yield f"<Id>{_message_id(total, journal)}</Id><CreDtTm>{_time(made_at)}</CreDtTm>\n"
    yield f"<FrToDt><FrDtTm>{_time(starts_at)}</FrDtTm><ToDtTm>{_time(ends_at)}</ToDtTm></FrToDt>\n"
    yield (
        f"<Acct><Id><Othr><Id>{total.id}</Id><SchmeNm><Prtry>{ISSUER}-account</Prtry></SchmeNm></Othr></Id>"
        f"<Ccy>{currency}</Ccy><Nm>{_text(total.code, NAME)}</Nm></Acct>\n"
    )
    for kind, units, at in (("OPBD", total.opening, starts_at), ("CLBD", total.closing, ends_at)):
        yield (
            f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>{_amount(units, total.currency, total.scale)}"
            f"<Dt><DtTm>{_time(at)}</DtTm></Dt></Bal>\n"
        )
    count, net = total.debit_count + total.credit_count, total.debit - total.credit
    yield f"<TxsSummry><TtlNtries><NbOfNtries>{count}</NbOfNtries><Sum>"
    yield f"{_number(total.debit + total.credit, total.currency, total.scale)}</Sum><TtlNetNtry>"
    # Here the amount has no currency of its own.
    yield f"<Amt>{_number(abs(net), total.currency, total.scale)}</Amt><CdtDbtInd>{_side(net)}</CdtDbtInd></TtlNetNtry>"
    yield "</TtlNtries>"
    for name, number, units in (
        ("TtlCdtNtries", total.debit_count, total.debit),
        ("TtlDbtNtries", total.credit_count, total.credit),
    ):
        summed = _number(units, total.currency, total.scale)
        yield f"<{name}><NbOfNtries>{number}</NbOfNtries><Sum>{summed}</Sum></{name}>"
    yield "</TxsSummry>\n"


def _entry(entry: SealedEntry, place: int, line: SealedLine) -> str:
    amount = _amount(line.amount, line.currency, line.scale)
    at = _time(entry.effective_at)
    about = " ".join(part for part in (entry.source_ref, entry.memo) if part)
    # ISO has no place for the id of a tx and of a block in full length but this one.
    proof = f"block {entry.block_height} {entry.block_hash}" if entry.block_hash else ""
    reference = "NOTPROVIDED" if line.reference is None else f"payment:{line.reference}"
    parts = [
        f"<Ntry><NtryRef>{entry.id}-{place}</NtryRef>{amount}<Sts><Cd>BOOK</Cd></Sts>",
        f"<BookgDt><DtTm>{at}</DtTm></BookgDt><ValDt><DtTm>{at}</DtTm></ValDt>",
        f"<AcctSvcrRef>{entry.id}</AcctSvcrRef>",
        f"<BkTxCd><Prtry><Cd>{_text(entry.kind, ID)}</Cd><Issr>{ISSUER}</Issr></Prtry></BkTxCd>",
        f"<NtryDtls><TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs>{amount}",
        f"<RmtInf><Ustrd>{_text(about, REMITTANCE)}</Ustrd></RmtInf>" if about else "",
        "</TxDtls></NtryDtls>",
        f"<AddtlNtryInf>{_text(proof, INFORMATION)}</AddtlNtryInf>" if proof else "",
        "</Ntry>\n",
    ]
    return "".join(parts)


def _message_id(total: Total, journal: Journal) -> str:
    """Return what tells this statement from any other: another selection or another balance is another message."""
    told = repr((journal.selection.values(), total)).encode()
    return hashlib.sha256(told).hexdigest()[:ID]


def _amount(units: int, currency: str, scale: int) -> str:
    code = SATOSHI if _is_satoshis(currency) else currency
    return (
        f'<Amt Ccy="{code}">{_number(abs(units), currency, scale)}</Amt><CdtDbtInd>{_side(units)}</CdtDbtInd>'
    )


def _number(units: int, currency: str, scale: int) -> str:
    return decimal(units, 0 if _is_satoshis(currency) else scale)


def _side(units: int) -> str:
    return "DBIT" if units < 0 else "CRDT"


def _is_satoshis(currency: str) -> bool:
    return currency == "BTC"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _text(text: str, most: int) -> str:
    """Return a text of the standard: on one line, without what XML cannot hold, cut to its length, never empty."""
    kept = "".join(letter for letter in one_line(text).strip() if letter not in "\ufffe\uffff")
    return escape(kept[:most].strip()) or "-"


FORM = Form("camt053", "xml", "application/xml", write)
