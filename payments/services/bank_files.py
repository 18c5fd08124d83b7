"""Makes files of credit transfers for banks: whoever decides to pay says what, and one file says it once.

What makes files is an origin (``bank_origins``): the release of a list, or another decision. A line names what it settles,
and the database lets no two lines settle the same.
"""

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, Sum
from psycopg import errors

from govpay.errors import Conflict, GovPayError
from ledger import audit
from payments import doorbell
from payments.models import BankFile, BankFileLine, PayingAccount, history
from payments.models.bank import ACCOUNT_CONTEXT
from payments.models.encrypted import encryptor
from payments.rails import transfer
from payments.services import intake

LINE_COLUMNS = (
    "bank_file_id, number, end_to_end_id, settles, settles_id, amount_minor, account, words, outcome, reason"
)
ROWS_AT_ONCE = 2_000


class NoPayingAccount(Conflict):
    """The institution has no account to pay from, or it is in another currency."""

    code = "no_paying_account"


class InstructedAlready(Conflict):
    """A line of another file settles this already: nobody is paid twice."""

    code = "instructed_already"


class BankFileWrong(GovPayError):
    """The lines of a file are not those that were decided on: nothing is kept of it."""

    code = "bank_file_wrong"
    http_status = 500


class Instruction(NamedTuple):
    """One transfer: what it settles, how many minor units, to whom, and what they read on their statement."""

    settles: str
    settles_id: int
    amount_minor: int
    creditor: transfer.Party
    words: str = ""


@transaction.atomic
def make(
    *,
    origin: str,
    origin_id: int,
    scope: str,
    currency: str,
    line_count: int,
    total_minor: int,
    execution_date: date,
    fill: Callable[[BankFile], None],
    now: datetime,
    part: int = 1,
    program_id: int | None = None,
) -> BankFile:
    """Make a file whose lines ``fill`` inserts, as ``add`` does, and let a worker write it.

    ``origin_id`` is the decision's row; another ``part`` is a further file of the same one. Raises NoPayingAccount,
    BankFileWrong unless there are as many lines, of as much, as was said, and InstructedAlready where a line settles what
    another file's line does already: nothing is made then.
    """
    debtor = paying_account(scope, currency)
    made = BankFile.objects.create(
        origin=origin,
        origin_id=origin_id,
        part=part,
        scope=scope,
        program_id=program_id,
        message_id=f"GP{now:%Y%m%d}{secrets.token_hex(6)}",
        currency=currency,
        debtor=debtor._asdict(),
        execution_date=execution_date,
        line_count=line_count,
        total_minor=total_minor,
        made_at=now,
    )
    fill(made)
    found = BankFileLine.objects.filter(bank_file=made).aggregate(
        count=Count("pk"), total=Sum("amount_minor")
    )
    if (found["count"], found["total"]) != (line_count, total_minor):
        raise BankFileWrong(
            f"The file has {found['count']} lines of {found['total']}, not {line_count} of {total_minor}.",
            origin=origin,
            origin_id=origin_id,
        )
    history.begin(made, reason="somebody decided to pay it")
    audit.record("bank_file.make", made, scope=scope)
    doorbell.ring("write_bank_file", bank_file_id=made.pk)
    return made


def add(bank_file: BankFile, instructions: Iterable[Instruction]) -> None:
    """Write the lines of a file that is being made, by COPY; the people's accounts are encrypted on the way.

    Raises InstructedAlready.
    """
    encrypt = encryptor(ACCOUNT_CONTEXT)

    def rows() -> Iterator[str]:
        for number, each in enumerate(instructions, start=1):
            account = encrypt(_json(each.creditor)).hex()
            values = (
                bank_file.pk,
                number,
                f"{bank_file.message_id}-{number}",
                each.settles,
                each.settles_id,
                each.amount_minor,
                f"\\\\x{account}",
                _copied(each.words),
                "open",
                "",
            )
            yield "\t".join(map(str, values)) + "\n"

    try:
        intake.stage(BankFileLine._meta.db_table, LINE_COLUMNS, rows())
    except errors.UniqueViolation as error:
        raise InstructedAlready("A line of another file settles one of these already.") from error


def paying_account(scope: str, currency: str) -> transfer.Party:
    """Return from where an institution pays in a currency; raise NoPayingAccount."""
    found = PayingAccount.objects.filter(scope=scope, ended_at=None).first()
    if found is None:
        raise NoPayingAccount(
            "No account to pay from is set; two security administrators set one.", scope=scope
        )
    if found.currency != currency:
        raise NoPayingAccount(
            f"The account to pay from is in {found.currency}, not in {currency}.", scope=scope
        )
    return transfer.Party(found.title, found.iban, found.bic)


def head(bank_file: BankFile) -> transfer.Head:
    """Return what a file says once."""
    return transfer.Head(
        bank_file.message_id,
        bank_file.made_at,
        bank_file.currency,
        bank_file.line_count,
        bank_file.total_minor,
        transfer.Party(**bank_file.debtor),
        bank_file.execution_date,
    )


def transfers(bank_file: BankFile) -> Iterator[transfer.Transfer]:
    """Yield the transfers of a file in their order, decrypted, some thousand in memory at a time."""
    lines = BankFileLine.objects.filter(bank_file=bank_file).order_by("number")
    columns = ("end_to_end_id", "amount_minor", "account", "words")
    for end_to_end_id, amount_minor, account, words in lines.values_list(*columns).iterator(
        chunk_size=ROWS_AT_ONCE
    ):
        yield transfer.Transfer(end_to_end_id, amount_minor, transfer.Party(**account), words)


def _json(party: transfer.Party) -> bytes:
    return json.dumps(party._asdict(), ensure_ascii=False, separators=(",", ":")).encode()


def _copied(text: str) -> str:
    """Return a text as COPY reads it; what people read has no control characters."""
    return text.replace("\\", "\\\\")
