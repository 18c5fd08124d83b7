"""Accounts in banks at which people are paid: a first one by an officer's file, another one by two people."""

import hmac
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import BinaryIO

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from payments.models import BankAccount, Enrollment, Program, Role
from payments.models.bank import ACCOUNT_CONTEXT
from payments.models.encrypted import encryptor
from payments.rails import iban as iban_rules
from payments.rails import transfer
from payments.services import authority, csv_source, intake, paying_accounts, person_rows, registry

COLUMNS = ("reference", "title", "iban")
OPTIONAL = ("bic",)
DECIDERS = (Role.OFFICER, Role.APPROVER)
STAGE = "staged_account"
STAGE_COLUMNS = "row, reference, account, iban_hash, is_bad"
_CHECKS: list[intake.Check] = [
    (
        "reference_duplicate",
        "reference",
        "The person is in the file twice",
        """
        WITH firsts AS (
            SELECT reference, min(row) AS first FROM staged_account WHERE reference IS NOT NULL
            GROUP BY reference HAVING count(*) > 1
        )
        SELECT s.row, firsts.first FROM staged_account s JOIN firsts USING (reference) WHERE s.row > firsts.first
        """,
    ),
    (
        "reference_unknown",
        "reference",
        "Nobody is enrolled in the program under this reference",
        """
        SELECT s.row, NULL::int FROM staged_account s LEFT JOIN payments_enrollment e
            ON e.program_id = %(program)s AND e.reference = s.reference
        WHERE s.reference IS NOT NULL AND e.id IS NULL
        """,
    ),
    (
        "account_known",
        "iban",
        "The person has an account already; another one is proposed by one person and confirmed by a second",
        """
        SELECT s.row, NULL::int FROM staged_account s JOIN payments_enrollment e
            ON e.program_id = %(program)s AND e.reference = s.reference
        JOIN payments_bankaccount a ON a.beneficiary_id = e.beneficiary_id AND a.is_current
        """,
    ),
]
_INSERT = """
INSERT INTO payments_bankaccount (beneficiary_id, account, iban_hash, is_current, note, created_by_id, created_at,
    title_match, due_at, attempts)
SELECT e.beneficiary_id, s.account, s.iban_hash, true, '', %(user)s, %(now)s, '', %(now)s, 0 FROM staged_account s
JOIN payments_enrollment e ON e.program_id = %(program)s AND e.reference = s.reference
WHERE NOT s.is_bad ORDER BY s.row
"""


class AccountPending(Conflict):
    """Another account of this person waits for its decision."""

    code = "account_pending"


class AccountDecided(Conflict):
    """The account was confirmed or refused already."""

    code = "account_decided"


@transaction.atomic
def load_csv(*, by: User, program_id: int, file: BinaryIO) -> int:
    """Give people of a program their first account from a UTF-8 CSV file with COLUMNS, and OPTIONAL; return how many.

    Whole or not at all: raises InvalidInput with every row that breaks a rule; NotFound, RoleMissing.
    """
    authority.require(user=by, program_id=program_id, roles=(Role.OFFICER,))
    faults = intake.Faults()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{STAGE}")
        cursor.execute(
            f"CREATE TEMP TABLE {STAGE} (row int NOT NULL, reference text, account bytea, iban_hash bytea,"
            " is_bad boolean NOT NULL) ON COMMIT DROP"
        )
    source = csv_source.CsvSource(file, COLUMNS, faults, optional=OPTIONAL)
    intake.stage(STAGE, STAGE_COLUMNS, _rows(source, faults))
    # Whoever else writes where people are paid waits.
    registry.lock()
    if not faults.is_whole_file:
        intake.check(STAGE, _CHECKS, {"program": program_id}, faults)
    if faults.kept:
        rows = {fault.row for fault in faults.kept if fault.row}
        what = "the file as a whole breaks a rule" if not rows else f"{len(rows):,} rows break a rule"
        raise InvalidInput(f"No account was taken: {what}.", errors=faults.as_errors())
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, {"program": program_id, "user": by.pk, "now": timezone.now()})
        count = cursor.rowcount
    program = Program.objects.get(pk=program_id)
    audit.record("bank_account.load", program, by=by, scope=program.scope, reason=f"{count:,} accounts")
    return int(count)


@transaction.atomic
def propose(*, by: User, enrollment_id: int, title: str, iban: str, bic: str = "", note: str) -> BankAccount:
    """Propose an account for a person who has one; they are paid at the old one until somebody else confirms.

    The first account of a person counts at once. Raises NotFound, RoleMissing, AccountPending, and InvalidInput with what
    is wrong with the account, or without a reason.
    """
    found = _enrolled(by, enrollment_id, (Role.OFFICER,))
    faults = intake.Faults()
    read = _read(0, title, iban, bic, faults)
    if read is None:
        raise InvalidInput(faults.kept[0].message, errors=faults.as_errors())
    _require_note(note)
    registry.lock()
    current = BankAccount.objects.filter(beneficiary_id=found.beneficiary_id, is_current=True).first()
    waiting = BankAccount.objects.filter(beneficiary_id=found.beneficiary_id, replaces__isnull=False)
    if waiting.filter(decided_at=None).exists():
        raise AccountPending("Another account of this person is to be decided first.")
    made = BankAccount.objects.create(
        beneficiary_id=found.beneficiary_id,
        account=read._asdict(),
        iban_hash=hash_of(read.iban),
        is_current=current is None,
        replaces=current,
        note=note,
        created_by=by,
    )
    audit.record("bank_account.propose", made, by=by, scope=found.program.scope, reason=note)
    return made


@transaction.atomic
def confirm(*, by: User, bank_account_id: int, now: datetime | None = None) -> BankAccount:
    """Agree as a second person: lists submitted from now on pay there, once the program's cooling period is over."""
    row, program = _undecided(by, bank_account_id)
    if row.created_by_id == by.pk:
        raise SamePersonTwice("Somebody else than the person who proposed the account must decide.")
    at, was = now or timezone.now(), audit.digest(row)
    BankAccount.objects.filter(beneficiary_id=row.beneficiary_id, is_current=True).update(is_current=False)
    BankAccount.objects.filter(pk=row.pk).update(is_current=True, decided_by=by, decided_at=at, changed_at=at)
    audit.record("bank_account.confirm", row, by=by, scope=program.scope, before=was)
    row.refresh_from_db()
    return row


@transaction.atomic
def refuse(*, by: User, bank_account_id: int, note: str) -> BankAccount:
    """Refuse an account for a reason, or take back what one proposed oneself; the person is paid at the old one."""
    row, program = _undecided(by, bank_account_id)
    _require_note(note)
    was = audit.digest(row)
    BankAccount.objects.filter(pk=row.pk).update(decided_by=by, decided_at=timezone.now())
    audit.record("bank_account.refuse", row, by=by, scope=program.scope, reason=note, before=was)
    row.refresh_from_db()
    return row


def hash_of(iban: str) -> bytes:
    """Return the keyed hash by which an account number is found without being read."""
    return hmac.digest(settings.GOVPAY_IDENTITY_KEY, f"bank-account\n{iban}".encode(), "sha256")


def _rows(source: Iterable[tuple[int, Sequence[str]]], faults: intake.Faults) -> Iterator[str]:
    encrypt = encryptor(ACCOUNT_CONTEXT)
    for row, values in source:
        if not values:
            yield f"{row}\t\\N\t\\N\t\\N\tt\n"
            continue
        reference = person_rows.read_reference(row, values[0], faults)
        read = _read(row, values[1], values[2], values[3], faults)
        if reference is None or read is None:
            yield f"{row}\t{reference or _NULL}\t\\N\t\\N\tt\n"
            continue
        text = json.dumps(read._asdict(), ensure_ascii=False, separators=(",", ":"))
        yield f"{row}\t{reference}\t\\\\x{encrypt(text.encode()).hex()}\t\\\\x{hash_of(read.iban).hex()}\tf\n"


_NULL = "\\N"


def _read(row: int, title: str, iban: str, bic: str, faults: intake.Faults) -> transfer.Party | None:
    """Return an account, or None after noting what is wrong with it."""
    before, found = len(faults.kept), ""
    name, code = title.strip(), bic.strip().upper()
    try:
        found = iban_rules.normalize(iban)
    except iban_rules.InvalidIban as error:
        faults.add(row, "iban", error.details["rule"], error.message)
    if not name or len(name) > transfer.MAX_NAME:
        faults.add(row, "title", "title_malformed", f"A title has 1 to {transfer.MAX_NAME} characters.")
    elif not name.isprintable():
        faults.add(row, "title", "title_malformed", "The title has characters that cannot be seen.")
    if code and not paying_accounts.is_bic(code):
        faults.add(row, "bic", "bic_malformed", "A BIC (ISO 9362) has 8 or 11 letters and digits.")
    return transfer.Party(name, found, code) if len(faults.kept) == before and found else None


def _enrolled(by: User, enrollment_id: int, roles: tuple[str, ...]) -> Enrollment:
    mine = Enrollment.objects.filter(program__memberships__user_id=by.pk).select_related("program")
    found = mine.filter(pk=enrollment_id).first()
    if found is None:
        raise NotFound("There is no such enrollment in your programs.")
    authority.require(user=by, program_id=found.program_id, roles=roles)
    return found


def _undecided(by: User, bank_account_id: int) -> tuple[BankAccount, Program]:
    """Return an account that waits, and the program by which the user may decide on it."""
    mine = Program.objects.filter(
        memberships__user_id=by.pk, enrollments__beneficiary__bank_accounts=bank_account_id
    )
    program = mine.filter(memberships__role__in=DECIDERS).order_by("pk").first() or mine.first()
    if program is None:
        raise NotFound("There is no such account in your programs.")
    authority.require(user=by, program_id=program.pk, roles=DECIDERS)
    registry.lock()
    row = BankAccount.objects.select_for_update().get(pk=bank_account_id)
    if row.replaces_id is None or row.decided_at is not None:
        raise AccountDecided("The account was decided on already.")
    return row, program


def _require_note(note: str) -> None:
    if not note.strip():
        raise InvalidInput.of("note", "missing", "Say why.")
    if len(note) > 300:
        raise InvalidInput.of("note", "too_long", "The reason has more than 300 characters.")
