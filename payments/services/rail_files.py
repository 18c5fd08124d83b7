"""Pays released lists by bank file: one file a release, and another for what was held then and goes on later.

The lines are copied inside the database from the payments that approvers agreed to, with the account of each as it was when
the list was submitted.
"""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Max, OuterRef, QuerySet, Subquery
from django.utils import timezone

from payments.models import BankFile, BankFileLine, BankReport, Disbursement, LineOutcome, Payment, Rail, Role
from payments.payout import agreed, seal
from payments.services import authority, bank_accounts, bank_files, rail_legs
from payments.services.bank_origin import Origin
from payments.states import DisbursementStatus

NAME, SETTLES = "list", "payment"
# What is released late in the day is asked for on the next.
NEXT_DAY = timedelta(days=1)
WAITING = f"""
FROM payments_payment p
WHERE p.disbursement_id = %(list)s AND p.status = 'pending' AND p.sent_at IS NULL AND {seal.STILL_VOID}
"""
COPY = f"""
INSERT INTO payments_bankfileline (bank_file_id, number, end_to_end_id, settles, settles_id, amount_minor, account, words,
    outcome, reason)
SELECT %(file)s, n.number, %(message)s::varchar || '-' || n.number, 'payment', n.id, n.amount, a.account, %(words)s::varchar,
    'open', ''
FROM (
    SELECT p.id, p.bank_account_id, p.amount, row_number() OVER (ORDER BY p.id) AS number {WAITING}
) n JOIN payments_bankaccount a ON a.id = n.bank_account_id
ORDER BY n.number
"""  # noqa: S608 - texts of our own
MARK = """
UPDATE payments_payment p SET sent_at = %(at)s FROM payments_bankfileline l
WHERE l.bank_file_id = %(file)s AND l.settles = 'payment' AND p.id = l.settles_id
"""


@transaction.atomic
def send(disbursement_id: int, *, now: datetime | None = None) -> BankFile | None:
    """Make a file of everything in a released list that is cleared and in no file yet; None where there is nothing.

    Raises ApprovalForged, and what ``bank_files.make`` does: the list waits then.
    """
    now = now or timezone.now()
    rows = Disbursement.objects.select_for_update(of=("self",)).select_related("program", "cycle")
    disbursement = rows.get(pk=disbursement_id, rail=Rail.BANK)
    if disbursement.status != DisbursementStatus.RELEASED:
        return None
    count, total_minor = _waiting(disbursement)
    if not count:
        return None
    rail_legs.require_agreed(disbursement)
    last = BankFile.objects.filter(origin=NAME, origin_id=disbursement.pk).aggregate(last=Max("part"))["last"]

    def fill(made: BankFile) -> None:
        values: dict[str, Any] = {
            "file": made.pk,
            "message": made.message_id,
            "list": disbursement.pk,
            "words": f"{disbursement.cycle.period} {disbursement.cycle.purpose}",
            "at": now,
        }
        with connection.cursor() as cursor:
            cursor.execute(COPY, values)
            cursor.execute(MARK, values)

    return bank_files.make(
        origin=NAME,
        origin_id=disbursement.pk,
        part=(last or 0) + 1,
        scope=disbursement.program.scope,
        program_id=disbursement.program_id,
        currency=disbursement.program.currency,
        line_count=count,
        total_minor=total_minor,
        execution_date=(now + NEXT_DAY).date(),
        fill=fill,
        now=now,
    )


def _waiting(disbursement: Disbursement) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), coalesce(sum(p.amount), 0) {WAITING}", {"list": disbursement.pk})
        count, total_minor = cursor.fetchone()
    return int(count), int(total_minor)


def _require(user: User, bank_file: BankFile) -> None:
    assert bank_file.program_id is not None
    authority.require(user=user, program_id=bank_file.program_id, roles=(Role.TREASURER,))


def _check(bank_file: BankFile) -> None:
    """Raise ApprovalForged unless people agreed to the list, its lines are still those, and the file pays just these."""
    disbursement = _list_of(bank_file)
    rail_legs.require_agreed(disbursement)
    # An account is agreed to by its keyed hash: what is encrypted beside that could be another's.
    of_line = Payment.objects.filter(
        pk=OuterRef("settles_id"), disbursement=disbursement, amount=OuterRef("amount_minor")
    )
    lines = BankFileLine.objects.filter(bank_file=bank_file, settles=SETTLES).order_by("number")
    agreed_to = lines.annotate(agreed=Subquery(of_line.values("bank_account__iban_hash")[:1]))
    rows: QuerySet[Any, Any] = agreed_to.values_list("number", "account", "agreed")
    for number, account, iban_hash in rows.iterator(chunk_size=bank_files.ROWS_AT_ONCE):
        if bank_accounts.hash_of(account.get("iban", "")) != bytes(iban_hash or b""):
            raise agreed.ApprovalForged(
                f"List {disbursement.pk} is not what people agreed to: transfer {number} of file"
                f" {bank_file.message_id} goes to another account, or is of another amount. Nothing of the file is paid.",
                disbursement_id=disbursement.pk,
            )


def _written(bank_file: BankFile, at: datetime) -> None:
    disbursement = _list_of(bank_file)
    lines = BankFileLine.objects.filter(bank_file=bank_file)
    named = f"File {bank_file.message_id}, SHA-256 {bytes(bank_file.sha256 or b'').hex()}"
    rail_legs.send(
        disbursement,
        list(lines.values_list("settles_id", flat=True)),
        key=f"bankfile:{bank_file.pk}",
        source_ref=f"bankfile:{bank_file.pk}",
        at=at,
        # With this, line n of the sealed entry is the transfer whose id ends with n and what was before.
        memo_from=lambda first: f"{named}, from line {first}",
    )


def _answered(bank_file: BankFile, report: BankReport) -> None:
    # As everywhere: the list before its payments.
    disbursement = Disbursement.objects.select_for_update(of=("self",), no_key=True).get(
        pk=bank_file.origin_id
    )
    answered = BankFileLine.objects.filter(report=report)
    actor = report.brought_by.get_username()
    key = f"bankreport:{report.pk}"
    memo = f"Report SHA-256 {bytes(report.sha256).hex()}"
    rail_legs.settle(
        disbursement,
        list(answered.filter(outcome=LineOutcome.SETTLED).values_list("settles_id", flat=True)),
        key=key,
        source_ref=key,
        at=report.brought_at,
        actor=actor,
        memo=memo,
    )
    rail_legs.give_back(
        disbursement,
        list(answered.filter(outcome=LineOutcome.REJECTED).values_list("settles_id", flat=True)),
        key=key,
        source_ref=key,
        at=report.brought_at,
        actor=actor,
        note=f"The bank rejected it: report {report.message_id}.",
        memo=memo,
    )


def _list_of(bank_file: BankFile) -> Disbursement:
    return Disbursement.objects.select_related("program__wallet", "cycle").get(pk=bank_file.origin_id)


ORIGIN = Origin(NAME, _require, _check, _written, _answered)
