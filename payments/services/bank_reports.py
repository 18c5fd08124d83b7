"""Takes what banks say of files: whole and without a contradiction, or not at all, and each report once.

The statuses are staged by COPY and compared with the file's lines in the database; what the bank says is final of a line
ends it, once. Nothing is booked for a report that is refused.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO, cast

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from govpay.errors import InvalidInput
from ledger import audit
from payments.models import BankFile, BankFileLine, BankReport, LineOutcome, Role
from payments.models.history import move
from payments.rails import report as reading
from payments.rails import transfer
from payments.services import authority, bank_origins, csv_source, intake
from payments.states import BankFileStatus

STAGE = "staged_answer"
STAGE_COLUMNS = "row, end_to_end_id, code, reason, amount_minor, currency, is_bad"
# What the codes of a report mean for a line.
SETTLED, REJECTED = sorted(reading.SETTLED), sorted(reading.REJECTED)
OUTCOME = "CASE WHEN {0} = ANY(%(settled)s) THEN 'settled' WHEN {0} = ANY(%(rejected)s) THEN 'rejected' END"
_OF_LINE = "JOIN payments_bankfileline l ON l.end_to_end_id = s.end_to_end_id AND l.bank_file_id = %(file)s"
_CHECKS: list[intake.Check] = [
    (
        "transaction_repeated",
        "OrgnlEndToEndId",
        "The report names the transfer twice",
        """
        WITH firsts AS (
            SELECT end_to_end_id, min(row) AS first FROM staged_answer GROUP BY end_to_end_id HAVING count(*) > 1
        )
        SELECT s.row, firsts.first FROM staged_answer s JOIN firsts USING (end_to_end_id) WHERE s.row > firsts.first
        """,
    ),
    (
        "transaction_unknown",
        "OrgnlEndToEndId",
        "The file has no such transfer",
        f"""
        SELECT s.row, NULL::int FROM staged_answer s LEFT {_OF_LINE} WHERE l.id IS NULL
        """,  # noqa: S608 - a text of our own
    ),
    (
        "amount_differs",
        "InstdAmt",
        "The file has another amount",
        f"""
        SELECT s.row, NULL::int FROM staged_answer s {_OF_LINE}
        WHERE s.amount_minor IS NOT NULL AND (s.amount_minor <> l.amount_minor OR s.currency <> %(currency)s::varchar)
        """,  # noqa: S608
    ),
    (
        "outcome_contradicts",
        "TxSts",
        "The bank has said the opposite of this transfer before",
        f"""
        SELECT s.row, NULL::int FROM staged_answer s {_OF_LINE}
        WHERE l.outcome <> 'open' AND l.outcome <> {OUTCOME.format("s.code")}
        """,  # noqa: S608
    ),
]
# Of each line that is still open: what the report says of it, or else of its file as a whole.
_FINAL = f"""
SELECT l.id, {OUTCOME.format("coalesce(s.code, %(whole)s::varchar)")} AS outcome,
    coalesce(s.reason, %(reason)s::varchar) AS reason,
    l.amount_minor
FROM payments_bankfileline l LEFT JOIN staged_answer s ON s.end_to_end_id = l.end_to_end_id
WHERE l.bank_file_id = %(file)s AND l.outcome = 'open'
"""  # noqa: S608
_COUNT = f"""
SELECT count(*) FILTER (WHERE outcome = 'settled'), coalesce(sum(amount_minor) FILTER (WHERE outcome = 'settled'), 0),
    count(*) FILTER (WHERE outcome = 'rejected'), coalesce(sum(amount_minor) FILTER (WHERE outcome = 'rejected'), 0)
FROM ({_FINAL}) f
"""  # noqa: S608
_ANSWER = f"""
UPDATE payments_bankfileline l SET outcome = f.outcome, reason = f.reason, report_id = %(report)s
FROM ({_FINAL}) f WHERE f.id = l.id AND f.outcome IS NOT NULL
"""  # noqa: S608


def take_of_program(*, by: User, program_id: int, file: BinaryIO, now: datetime | None = None) -> BankReport:
    """Take a report (pain.002) on a file of a program as its treasurer; raises NotFound, RoleMissing, and as ``take``."""
    authority.require(user=by, program_id=program_id, roles=(Role.TREASURER,))
    return take(by=by, scope=f"program:{program_id}", file=file, now=now)


@transaction.atomic
def take(*, by: User, scope: str, file: BinaryIO, now: datetime | None = None) -> BankReport:
    """Take a report on a file of an institution, for which the caller has found that the user may act.

    Raises BadMessage for what is no report, and InvalidInput with one error a rule that is broken: ``bank_file_unknown``,
    ``bank_file_elsewhere``, ``bank_file_not_fetched``, ``report_known``, ``report_count``, ``report_total``,
    ``block_unknown``, ``status_contradicts``, ``outcome_contradicts``, and those of single transfers with their row in the
    report. Nothing is kept or booked then.
    """
    hashing = _Hashing(file)
    report = reading.Report(cast(BinaryIO, hashing))
    head = report.begin()
    found = _lock(head, scope)
    faults = intake.Faults()
    _check_head(found, head, faults)
    _stage(found, report, faults)
    digest = hashing.finish()
    if BankReport.objects.filter(sha256=digest).exists():
        faults.add_file("", "report_known", "This very report was taken before.")
    if report.other_block:
        message = f"The file has no block {report.other_block[:35]}; its only one is {found.message_id}."
        faults.add_file("OrgnlPmtInfId", "block_unknown", message)
    # Of a block the reason is not read: what is said of the group is none of it.
    reason = "" if report.block_status else head.reason
    values = _values(found, report.block_status or head.status, reason)
    _check_whole(found, [head.status, report.block_status, report.other_status], faults)
    if not faults.is_whole_file:
        intake.check(STAGE, _CHECKS, values, faults)
    if faults.kept:
        errors = faults.as_errors()
        raise InvalidInput(str(errors[0]["message"]), errors=errors)
    return _keep(found, head, digest, values, by=by, now=now or timezone.now())


def _lock(head: reading.Head, scope: str) -> BankFile:
    found = BankFile.objects.select_for_update().filter(message_id=head.original_message_id).first()
    if found is None:
        raise InvalidInput.of("OrgnlMsgId", "bank_file_unknown", "No file with this id was ever made here.")
    if found.scope != scope:
        raise InvalidInput.of(
            "OrgnlMsgId",
            "bank_file_elsewhere",
            "The file is of another program or institution; bring it there.",
        )
    return found


def _check_head(found: BankFile, head: reading.Head, faults: intake.Faults) -> None:
    wrong = faults.add_file
    if not head.original_name.startswith(transfer.KIND):
        wrong("OrgnlMsgNmId", "original_not_a_transfer", f"The report is on a {head.original_name[:35]}.")
    if found.status in (BankFileStatus.WAITING, BankFileStatus.READY):
        wrong("OrgnlMsgId", "bank_file_not_fetched", "Nobody has taken this file to a bank yet.")
    if BankReport.objects.filter(bank_file=found, message_id=head.message_id).exists():
        wrong("MsgId", "report_known", "A report of this id on this file was taken before.")
    # By the schema it is up to 15 digits, which may begin with zeros.
    if head.line_count and int(head.line_count) != found.line_count:
        wrong(
            "OrgnlNbOfTxs",
            "report_count",
            f"The report is on {head.line_count} transfers; the file has {found.line_count}.",
        )
    if head.total and reading.minor_of(head.total, found.currency) != found.total_minor:
        wrong(
            "OrgnlCtrlSum", "report_total", f"The report is on a sum of {head.total}; the file has another."
        )


def _check_whole(found: BankFile, said: list[str], faults: intake.Faults) -> None:
    """Note what the report says of the whole file where no meaning is known, or where something contradicts that.

    That is a transfer in the report, something else that it says of the whole, or what the bank said of a transfer before.
    """
    codes = [code for code in dict.fromkeys(said) if code]
    for code in codes:
        if not reading.is_known(code):
            faults.add_file("GrpSts", "status_unknown", f"{code[:4]} is no status whose meaning is known.")
        opposite, outcome = _opposite(code)
        if other := next((each for each in codes if each in opposite), ""):
            message = f"The file as a whole is {code}, and {other} as well."
            faults.add_file("GrpSts", "status_contradicts", message)
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT min(row) FROM staged_answer WHERE code = ANY(%s)", [opposite])
            (row,) = cursor.fetchone()
        if row is not None:
            faults.add_file(
                "TxSts", "status_contradicts", f"The file as a whole is {code}; this is not.", row
            )
        before = BankFileLine.objects.filter(bank_file=found, outcome=outcome).order_by("number").first()
        if before is not None:
            message = f"The file as a whole is {code}, and {before.end_to_end_id} was {outcome} before."
            faults.add_file("GrpSts", "outcome_contradicts", message)


def _opposite(code: str) -> tuple[list[str], str]:
    """Return the codes, and the outcome of a line, that cannot be where this is said of the whole; none where all can."""
    if code in reading.SETTLED:
        return REJECTED, LineOutcome.REJECTED.value
    return (SETTLED, LineOutcome.SETTLED.value) if code in reading.REJECTED else ([], "")


def _stage(found: BankFile, report: reading.Report, faults: intake.Faults) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{STAGE}")
        cursor.execute(
            f"CREATE TEMP TABLE {STAGE} (row int NOT NULL, end_to_end_id text, code text, reason text,"
            " amount_minor bigint, currency text, is_bad boolean NOT NULL) ON COMMIT DROP"
        )
    intake.stage(STAGE, STAGE_COLUMNS, _rows(found, report, faults))
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {STAGE}")


def _rows(found: BankFile, report: reading.Report, faults: intake.Faults) -> Iterator[str]:
    """Yield statuses as COPY reads them, noting what is wrong with single values."""
    for status in report:
        is_bad = False
        minor = None
        if status.amount:
            minor = reading.minor_of(status.amount, status.currency)
            if minor is None or minor >= 2**63:
                faults.add(status.row, "InstdAmt", "amount_differs", "The file has another amount.")
                is_bad, minor = True, None
        if not reading.is_known(status.code):
            faults.add(
                status.row,
                "TxSts",
                "status_unknown",
                f"{status.code[:4] or 'Nothing'} is no status known here.",
            )
            is_bad = True
        texts = (_copied(status.end_to_end_id), _copied(status.code), _copied(status.reason[:35]))
        amount = "\\N" if minor is None else str(minor)
        yield "\t".join((str(status.row), *texts, amount, _copied(status.currency), "ft"[is_bad])) + "\n"


def _values(found: BankFile, whole: str, reason: str) -> dict[str, Any]:
    return {
        "file": found.pk,
        "currency": found.currency,
        "whole": whole,
        "reason": reason[:35],
        "settled": SETTLED,
        "rejected": REJECTED,
    }


def _keep(
    found: BankFile,
    head: reading.Head,
    digest: bytes,
    values: dict[str, Any],
    *,
    by: User,
    now: datetime,
) -> BankReport:
    was = audit.digest(found)
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, values)
        settled, settled_minor, rejected, rejected_minor = map(int, cursor.fetchone())
    made = BankReport.objects.create(
        bank_file=found,
        message_id=head.message_id,
        sha256=digest,
        settled_count=settled,
        settled_minor=settled_minor,
        rejected_count=rejected,
        rejected_minor=rejected_minor,
        brought_by=by,
        brought_at=now,
    )
    with connection.cursor() as cursor:
        cursor.execute(_ANSWER, values | {"report": made.pk})
        assert cursor.rowcount == settled + rejected, (cursor.rowcount, settled, rejected)
    bank_origins.of(found).answered(found, made)
    is_open = BankFileLine.objects.filter(bank_file=found, outcome="open").exists()
    if found.status == BankFileStatus.FETCHED and not is_open:
        move(
            BankFile.objects.filter(pk=found.pk),
            old=BankFileStatus.FETCHED,
            new=BankFileStatus.ANSWERED,
            actor_id=by.pk,
        )
    audit.record("bank_report.take", found, by=by, scope=found.scope, reason=digest.hex(), before=was)
    return made


def _copied(text: str) -> str:
    """Return a text as COPY reads it."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


class _Hashing:
    """A file that is hashed as it is read; ``finish`` reads what the message left."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._sha256.update(block)
        return block

    def finish(self) -> bytes:
        while self.read(csv_source.BLOCK_BYTES):
            pass
        return self._sha256.digest()
